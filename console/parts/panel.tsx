import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { useLocation } from 'preact-iso';

export function Page({
  title,
  children,
  aside,
}: {
  readonly title: string;
  readonly children: ComponentChildren;
  readonly aside?: ComponentChildren;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { path } = useLocation();
  useEffect(() => {
    document.title = `${title} · Polaris SMS`;
  }, [title]);
  // A screen reader hears that the page is another, and the keyboard goes on from there; whoever types somewhere is left alone.
  useEffect(() => {
    if (document.activeElement?.matches('input, select') !== true) heading.current?.focus({ preventScroll: true });
  }, [path]);
  return (
    <main id="main" tabIndex={-1}>
      <header class="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {aside}
      </header>
      {children}
    </main>
  );
}

export function Panel({
  title,
  children,
  aside,
  className = '',
  part = '',
}: {
  readonly title: string;
  readonly children: ComponentChildren;
  readonly aside?: ComponentChildren;
  readonly className?: string;
  /** Which part of a long list it shows: whoever turns to another goes on at its heading. */
  readonly part?: string;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  const before = useRef(part);
  useEffect(() => {
    if (before.current !== part) heading.current?.focus();
    before.current = part;
  }, [part]);
  const id = `panel-${title.toLowerCase().replace(/\W+/g, '-')}`;
  return (
    <section class={`panel ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id} ref={heading} tabIndex={-1}>
          {title}
        </h2>
        {aside}
      </header>
      {children}
    </section>
  );
}
