import type { FunctionComponent } from 'preact';
import { may, type Session } from '../session.ts';
import { Page } from './panel.tsx';

type Scope = Session['scopes'][number];

/** A page that a key may not see says so once, in a sentence, and asks the service nothing in vain. */
export function needing(title: string, scopes: readonly Scope[], Wanted: FunctionComponent): FunctionComponent {
  return function Allowed() {
    const missing = scopes.filter((scope) => !may(scope));
    if (missing.length === 0) return <Wanted />;
    return (
      <Page title={title}>
        <p class="note nothing">
          To see this page, a key needs the scope <code>{missing.join(', ')}</code>, and yours does not have it. Whoever
          runs the service can make you one that does.
        </p>
      </Page>
    );
  };
}
