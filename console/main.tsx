import { render } from 'preact';
import { Console } from './console.tsx';
import { readSession, readSessionAgain } from './session.ts';

const place = document.getElementById('console');
if (place !== null) {
  place.textContent = '';
  render(<Console />, place);
  void readSession();
  window.addEventListener('focus', readSessionAgain);
}
