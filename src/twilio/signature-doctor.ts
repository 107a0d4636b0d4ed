import { fieldsInOrder, isSignatureOf, portsTwilioMaySign, splitUrl, type UrlParts } from './signature.ts';

/**
 * Why a signature is wrong: signed as Twilio signs, but over something else than what is configured here. `several` = more
 * than one thing at once; `nothing matches` = none of all that, so another token, altered on the way, or forged.
 */
export type SignatureFault =
  | 'scheme'
  | 'port'
  | 'slash'
  | 'query'
  | 'path'
  | 'user'
  | 'fields'
  | 'token'
  | 'several'
  | 'nothing matches';

export type Diagnosis = {
  readonly fault: SignatureFault;
  /** For the log: names what is different, never a token, a field, or a part of the URL other than scheme and port. */
  readonly inWords: string;
};

export type RefusedSignature = {
  readonly signature: string;
  /** The body as it came. */
  readonly body: string;
  /** The target of the request as it came: path and query. */
  readonly target: string;
  readonly callbackUrl: string;
  readonly authTokens: readonly string[];
  /** Not accepted, but taken for the token by mistake: TWILIO_API_KEY_SECRET. */
  readonly apiKeySecret: string | null;
  /** The ports on which callbacks arrive here. */
  readonly listenerPorts: readonly number[];
};

/** One way in which what was signed may differ from what is accepted; no `fault` = not at all. */
type Choice<T> = { readonly value: T; readonly fault?: SignatureFault; readonly inWords?: string };

/**
 * Finds the variant of the configured URL (scheme, port, slash, query, path, user), of the form or of the token over which
 * a refused callback was signed, the smallest difference first. It only explains: what is accepted is decided elsewhere
 * (TWILIO.md 13). 160 to 800 signatures, 1 ms (28 ms for the largest form): the caller sees to it that a flood does not buy many.
 */
export function examineSignature(refused: RefusedSignature): Diagnosis {
  const variants = variantsOf(refused).toSorted((a, b) => a.differences.length - b.differences.length);
  const match = variants.find(({ token, text }) => isSignatureOf(refused.signature, token, text));
  const differences = match?.differences ?? [];
  const [only] = differences;
  if (only === undefined) {
    return {
      fault: 'nothing matches',
      inWords:
        'no variant of TWILIO_CALL_BACK_URL would match: signed with another token, altered on the way, or forged',
    };
  }
  return {
    fault: differences.length > 1 ? 'several' : (only.fault ?? 'nothing matches'),
    inWords: `it would match ${differences.map(({ inWords }) => inWords).join(' and ')}`,
  };
}

type Difference = Choice<unknown>;
type Variant = { readonly token: string; readonly text: string; readonly differences: readonly Difference[] };

/** Scheme, port, slash and query in every combination; of the rarer mistakes one at a time, together with those. */
function variantsOf(refused: RefusedSignature): Variant[] {
  const parts = splitUrl(refused.callbackUrl);
  if (parts === null) return [];
  const [usual, ...rare] = rarities(refused, parts);
  if (usual === undefined) return [];
  return [usual, ...rare].flatMap((rarity) =>
    schemes(parts).flatMap((scheme) =>
      ports(scheme.value, parts, refused.listenerPorts).flatMap((port) =>
        slashes(rarity.path).flatMap((path) =>
          queries(refused.target, parts).map((query) => ({
            token: rarity.token,
            text: `${scheme.value}://${rarity.user}${parts.host}${port.value}${path.value}${query.value}${rarity.body}`,
            differences: [rarity.difference, scheme, port, path, query].filter(({ fault }) => fault !== undefined),
          })),
        ),
      ),
    ),
  );
}

type Rarity = {
  readonly path: string;
  readonly user: string;
  readonly body: string;
  readonly token: string;
  readonly difference: Difference;
};

/** The first ones are as it should be, one for each token. */
function rarities(refused: RefusedSignature, parts: UrlParts): Rarity[] {
  const { authTokens, apiKeySecret, callbackUrl, body, target } = refused;
  const none: Difference = { value: null };
  const usual = { path: parts.path, user: '', body: fieldsInOrder(new URLSearchParams(body)), difference: none };
  const [arrivedAt = ''] = target.split('?', 1);
  const user = /^[a-z]+:\/\/([^/?#]*@)/i.exec(callbackUrl)?.[1] ?? '';
  const others: (Partial<Rarity> & { difference: Difference })[] = [
    ...(arrivedAt === parts.path
      ? []
      : [{ path: arrivedAt, difference: is('path', 'with the path at which it arrived') }]),
    ...(user === '' ? [] : [{ user, difference: is('user', 'with the user and password of TWILIO_CALL_BACK_URL') }]),
    { body: '', difference: is('fields', 'without the fields of the form, as Twilio signs JSON') },
    { body, difference: is('fields', 'with the body as it came instead of its fields in order') },
  ];
  const trimmed = authTokens.filter((token) => token !== token.trim()).map((token) => token.trim());
  return [
    ...authTokens.map((token) => ({ ...usual, token })),
    ...authTokens.flatMap((token) => others.map((other) => ({ ...usual, token, ...other }))),
    ...trimmed.map((token) => ({
      ...usual,
      token,
      difference: is('token', 'without the spaces around the auth token'),
    })),
    ...(apiKeySecret === null
      ? []
      : [
          {
            ...usual,
            token: apiKeySecret,
            difference: is('token', 'with TWILIO_API_KEY_SECRET instead of an auth token'),
          },
        ]),
  ];
}

function is(fault: SignatureFault, inWords: string): Difference {
  return { value: null, fault, inWords };
}

function schemes({ scheme }: UrlParts): Choice<string>[] {
  const other = scheme.toLowerCase() === 'https' ? 'http' : 'https';
  return [
    { value: scheme },
    { value: other, fault: 'scheme', inWords: `with ${other} instead of ${scheme.toLowerCase()}` },
  ];
}

function ports(scheme: string, parts: UrlParts, listenerPorts: readonly number[]): Choice<string>[] {
  const accepted = portsTwilioMaySign({ scheme, port: parts.port });
  const others = new Set([443, 80, ...listenerPorts].filter((port) => !accepted.includes(`:${port}`)));
  return [
    ...accepted.map((value) => ({ value })),
    ...[...others].map((port): Choice<string> => ({ value: `:${port}`, fault: 'port', inWords: `with port ${port}` })),
  ];
}

/** That of an empty path does not count. */
function slashes(path: string): Choice<string>[] {
  if (path === '' || path === '/') return [{ value: '' }, { value: '/' }];
  return [
    { value: path },
    path.endsWith('/')
      ? { value: path.replace(/\/$/, ''), fault: 'slash', inWords: 'without the slash at the end of the path' }
      : { value: `${path}/`, fault: 'slash', inWords: 'with a slash at the end of the path' },
  ];
}

function queries(target: string, { query: configured }: UrlParts): Choice<string>[] {
  const [, ...rest] = target.split('?');
  const arrived = rest.join('?');
  const asQuery = (query: string) => (query === '' ? '' : `?${query}`);
  const variants: Choice<string>[] = [{ value: asQuery(arrived) }];
  if (arrived !== '') variants.push({ value: '', fault: 'query', inWords: 'without the query' });
  if (configured !== '' && configured !== arrived) {
    const inWords = 'with the query of TWILIO_CALL_BACK_URL instead of the one that arrived';
    variants.push({ value: asQuery(configured), fault: 'query', inWords });
  }
  return variants;
}
