import { CannotStart } from '../errors.ts';
import type { HttpApp } from './app-type.ts';

type Listen = { readonly address: string; readonly port: number };

/** `variable` is the one that chooses the port. Answers the address, on loopback when it listens everywhere. Refuses with `CannotStart`, in words that say what to do. */
export async function listen(app: HttpApp, { address, port }: Listen, variable = 'PORT'): Promise<string> {
  await app.listen({ host: address, port }).catch((error: unknown) => {
    throw asCannotListen(error, { address, port }, variable);
  });
  const bound = app.server.address();
  const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port;
  const isEverywhere = address === '0.0.0.0' || address === '::';
  const host = isEverywhere ? '127.0.0.1' : address.includes(':') ? `[${address}]` : address;
  return `http://${host}:${boundPort}`;
}

function asCannotListen(error: unknown, { address, port }: Listen, variable: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  if (code === 'EADDRINUSE') {
    return new CannotStart(
      `Port ${port} is in use: stop what uses it, or choose another one, for example ${variable}=${port + 1}.`,
      { cause: error },
    );
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL') {
    return new CannotStart(
      `The service may not listen on ${address}, port ${port}: set LISTEN_ADDRESS or ${variable}.`,
      {
        cause: error,
      },
    );
  }
  return error;
}
