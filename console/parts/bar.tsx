import { useState } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { api } from '../api/client.ts';
import { useLive } from '../api/live.ts';
import { asWord, ROOT, useLink, useQuery } from '../place.ts';
import { may, ownTenant, session, signOut } from '../session.ts';

const TENANTS_EVERY_MS = 300_000;
const pages = [
  { path: '', name: 'Today' },
  { path: '/messages', name: 'Messages' },
  { path: '/errors', name: 'Errors' },
  { path: '/privacy', name: 'Privacy' },
] as const;

/** Where to go, whose messages are looked at, and who looks. */
export function Bar() {
  const { path } = useLocation();
  const link = useLink();
  const isHere = (of: string) => (of === '' ? path === ROOT || path === `${ROOT}/` : path.startsWith(`${ROOT}${of}`));
  return (
    <>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <header class="bar">
        <a class="brand" href={link('')}>
          <Star />
          Polaris SMS
        </a>
        <nav aria-label="Pages">
          {pages.map((page) => (
            <a key={page.path} href={link(page.path)} aria-current={isHere(page.path) ? 'page' : undefined}>
              {page.name}
            </a>
          ))}
        </nav>
        <div class="who">
          <Whose />
          <Who />
        </div>
      </header>
    </>
  );
}

function Whose() {
  const own = ownTenant();
  if (own !== null) return <span title="The tenant of your key">{asWord(own)}</span>;
  return may('sms:read') ? <TenantChoice /> : null;
}

function TenantChoice() {
  const { query, set } = useQuery();
  const live = useLive('tenants', (signal) => api('GET /dhos/v1/tenants', { signal }), TENANTS_EVERY_MS);
  const words = (live.data ?? []).map(asWord);
  const chosen = query.tenant ?? '';
  if (chosen !== '' && !words.includes(chosen)) words.push(chosen);
  return (
    <label>
      <span class="hidden">Tenant</span>
      <select value={chosen} onChange={(event) => set({ tenant: event.currentTarget.value, cursor: undefined })}>
        <option value="">All tenants</option>
        {words.map((word) => (
          <option key={word} value={word}>
            {word}
          </option>
        ))}
      </select>
    </label>
  );
}

function Who() {
  const [isFailed, setFailed] = useState(false);
  const state = session.value;
  if (state.kind !== 'signed in') return null;
  if (state.session.authentication === 'none') return <span title="AUTH_MODE is none">No sign-in</span>;
  return (
    <>
      <span>{state.session.name}</span>
      <button type="button" class="plain" onClick={() => signOut().catch(() => setFailed(true))}>
        Sign out
      </button>
      {isFailed && (
        <strong class="note fault" role="alert">
          You are still signed in: the service did not answer. Try again, or close the browser.
        </strong>
      )}
    </>
  );
}

function Star() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#0b5a78" />
      <path d="M16 5l2.4 8.6L27 16l-8.6 2.4L16 27l-2.4-8.6L5 16l8.6-2.4z" fill="#fff" />
    </svg>
  );
}
