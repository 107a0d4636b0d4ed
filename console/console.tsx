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
import { Fault, Loading } from './parts/notes.tsx';
import { Page } from './parts/panel.tsx';
import { ROOT } from './place.ts';
import { readSession, session } from './session.ts';

/** The index of the console: each page on a line. Nobody sees one who is not signed in. */
export function Console() {
  return (
    <LocationProvider>
      <SignedIn>
        <Bar />
        <Pages />
      </SignedIn>
    </LocationProvider>
  );
}

function Pages() {
  return (
    <Router>
      <Route path={ROOT} component={TodayPage} />
      <Route path={`${ROOT}/messages`} component={MessagesPage} />
      <Route path={`${ROOT}/messages/:uuid`} component={MessagePage} />
      <Route path={`${ROOT}/errors`} component={ErrorsPage} />
      <Route path={`${ROOT}/errors/:code`} component={ErrorCodePage} />
      <Route path={`${ROOT}/privacy`} component={PrivacyPage} />
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
