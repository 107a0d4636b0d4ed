import { inWords, now, sinceInWords } from '../times.ts';
import { meaningOf, type Tone, toneOf } from '../words.ts';

/** Small things that stand in many places. */

const signs: Readonly<Record<Tone, string>> = { good: '✓', waiting: '→', bad: '✕', unknown: '?', neutral: '·' };

/** A sign, a word and a colour: never the colour alone. */
export function Mark({
  tone,
  children,
  title,
}: {
  readonly tone: Tone;
  readonly children: string;
  readonly title?: string;
}) {
  return (
    <span class={`mark ${tone}`} title={title}>
      <span aria-hidden="true">{signs[tone]}</span> {children}
    </span>
  );
}

export function Status({ status }: { readonly status: string | undefined }) {
  return (
    <Mark tone={toneOf(status)} title={meaningOf(status)}>
      {status ?? 'none'}
    </Mark>
  );
}

export function Time({ at, isSince = false }: { readonly at: string; readonly isSince?: boolean }) {
  return (
    <time dateTime={at} title={at}>
      {isSince ? sinceInWords(at, now()) : inWords(at)}
    </time>
  );
}

/** Whatever a text or name holds, it stays in its place: other writing directions do not turn what stands around it. */
export function Foreign({ text }: { readonly text: string }) {
  return (
    <bdi class="foreign" dir="auto">
      {text}
    </bdi>
  );
}
