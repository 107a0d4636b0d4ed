import { Nothing } from '../parts/notes.tsx';
import { Page } from '../parts/panel.tsx';
import { useLink } from '../place.ts';

export function NotFoundPage() {
  const link = useLink();
  return (
    <Page title="There is no such page">
      <Nothing>
        The address may be mistyped. <a href={link('')}>Go to today</a>, or{' '}
        <a href={link('/messages')}>find a message</a>.
      </Nothing>
    </Page>
  );
}
