import { useState } from 'preact/hooks';
import type { ApiError } from '../api/client.ts';
import { Page } from '../parts/panel.tsx';
import { signIn } from '../session.ts';

/** A key is typed once; what the browser keeps is a cookie that no script can read. */
export function SignInPage({ wasSignedIn }: { readonly wasSignedIn: boolean }) {
  const [key, setKey] = useState('');
  const [error, setError] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await signIn(key.trim());
    } catch (failed) {
      setError(failed as ApiError);
      setBusy(false);
    }
  };
  return (
    <Page title="Sign in to Polaris SMS">
      <form class="panel sign-in" onSubmit={submit}>
        {wasSignedIn && (
          <p class="note" role="status">
            You are not signed in any more: a session lasts 12 hours, and ends when its key is revoked or somebody signs
            out in another tab. What you were looking at comes back when you sign in; what you had just asked to be done
            was not done.
          </p>
        )}
        <label for="key">API key</label>
        <input
          id="key"
          type="password"
          autoComplete="current-password"
          spellcheck={false}
          required
          value={key}
          aria-describedby={error === null ? 'key-help' : 'key-error key-help'}
          aria-invalid={error !== null}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        {error !== null && (
          <p id="key-error" class="note fault" role="alert">
            {error.status === 401
              ? 'This key is not good here. It may have been mistyped, revoked, or have expired.'
              : error.message}
          </p>
        )}
        <button type="submit" class="main" disabled={isBusy || key.trim() === ''}>
          {isBusy ? 'One moment …' : 'Sign in'}
        </button>
        <p id="key-help" class="soft">
          It begins with <code>polaris_</code>. Whoever runs the service makes one:{' '}
          <code>npx polaris-sms keys create</code>. To look, it needs the scopes <code>sms:read</code> and{' '}
          <code>sms:report</code>.
        </p>
      </form>
    </Page>
  );
}
