import type { ComponentChildren } from 'preact';
import { LocationProvider, Route, Router, useLocation } from 'preact-iso';
import type { ApiError } from './api/client.ts';
import { ErrorCodePage } from './pages/error-code.tsx';
import { ErrorsPage } from './pages/errors.tsx';
import { MessagePage } from './pages/message.tsx';
import { MessagesPage } from './pages/messages.tsx';
import { NotFoundPage } from './pages/not-found.tsx';
import { PrivacyPage } from './pages/privacy.tsx';
import { SignInPage } from './pages/sign-in.tsx';
import { TodayPage } from './pages/today.tsx';
import { Bar } from './parts/bar.tsx';
import { WhenBroken } from './parts/broken.tsx';
import { needing } from './parts/needing.tsx';
import { Fault, Loading } from './parts/notes.tsx';
import { Page } from './parts/panel.tsx';
import { ROOT } from './place.ts';
import { readSession, session } from './session.ts';
import { zoneInWords } from './times.ts';

const Today = needing('Today', ['sms:report'], TodayPage);
const Messages = needing('Messages', ['sms:read'], MessagesPage);
const Message = needing('A message', ['sms:read'], MessagePage);
const Errors = needing('Errors', ['sms:report'], ErrorsPage);
const ErrorCode = needing('An error', ['sms:report'], ErrorCodePage);
const Privacy = needing('Privacy', ['sms:report'], PrivacyPage);

/** The index of the console: each page on a line, above it what it needs. Nobody sees one who is not signed in. */
export function Console() {
  return (
    <LocationProvider>
      <SignedIn>
        <Bar />
        <WhenBroken>
          <Pages />
        </WhenBroken>
        <footer class="soft no-print">
          Times are those of your clock ({zoneInWords()}); days are UTC days, as the service counts them.
        </footer>
      </SignedIn>
    </LocationProvider>
  );
}

function Pages() {
  return (
    <Router>
      <Route path={ROOT} component={Today} />
      <Route path={`${ROOT}/messages`} component={Messages} />
      <Route path={`${ROOT}/messages/:uuid`} component={Message} />
      <Route path={`${ROOT}/errors`} component={Errors} />
      <Route path={`${ROOT}/errors/:code`} component={ErrorCode} />
      <Route path={`${ROOT}/privacy`} component={Privacy} />
      <Route default component={NotFoundPage} />
    </Router>
  );
}

function SignedIn({ children }: { readonly children: ComponentChildren }) {
  // A page is where it was once somebody has signed in again: the address is left alone.
  useLocation();
  const state = session.value;
  switch (state.kind) {
    case 'asking':
      return (
        <Page title="Polaris SMS">
          <Loading what="who you are" />
        </Page>
      );
    case 'failed':
      return (
        <Page title="Polaris SMS">
          <Fault error={state.error as ApiError} what="who you are" retry={readSession} />
        </Page>
      );
    case 'signed out':
      return <SignInPage wasSignedIn={state.wasSignedIn} />;
    case 'signed in':
      return <>{children}</>;
    default:
      return state satisfies never;
  }
}
