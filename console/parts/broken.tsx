import type { ComponentChildren } from 'preact';
import { useEffect, useErrorBoundary } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { Page } from './panel.tsx';

/** A fault of the console's own is said, and the other pages go on: never a blank page. */
export function WhenBroken({ children }: { readonly children: ComponentChildren }) {
  const [error, mend] = useErrorBoundary();
  const { url } = useLocation();
  useEffect(mend, [url]);
  if (error === undefined) return <>{children}</>;
  return (
    <Page title="This page is broken">
      <p class="note fault" role="alert">
        The console has a fault of its own here; nothing was changed by it. The other pages, and the command line, still
        work.
      </p>
    </Page>
  );
}
