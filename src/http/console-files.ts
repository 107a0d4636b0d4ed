import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

/** The console as it was built, in memory: what is served is one of these files or nothing. */

const encodings = ['br', 'gzip'] as const;
type Encoding = (typeof encodings)[number];
type Body = { readonly bytes: Buffer; readonly etag: string };

export type ConsoleFile = {
  readonly type: string;
  readonly plain: Body;
  /** Those that are smaller, the preferred first. */
  readonly encoded: ReadonlyMap<Encoding, Body>;
};

/** By their paths below the folder, for example `assets/index-B2x.js`. */
export type ConsoleFiles = ReadonlyMap<string, ConsoleFile>;

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.woff2': 'font/woff2',
};

/** Without a page there is no console: null, also when the folder is not there. */
export async function readConsole(folder: string): Promise<ConsoleFiles | null> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const read = await Promise.all(
    files.map(async (file) => {
      const name = path.relative(folder, file).split(path.sep).join('/');
      return [
        name,
        await makeFile(types[path.extname(name)] ?? 'application/octet-stream', await readFile(file)),
      ] as const;
    }),
  );
  const console = new Map(read);
  return console.has('index.html') ? console : null;
}

async function makeFile(type: string, bytes: Buffer): Promise<ConsoleFile> {
  const made = await Promise.all(encodings.map(async (name) => [name, await encode[name](bytes)] as const));
  const smaller = made
    .filter(([, one]) => one.length < bytes.length)
    .map(([name, one]) => [name, asBody(one)] as const);
  return { type, plain: asBody(bytes), encoded: new Map(smaller) };
}

const encode: Readonly<Record<Encoding, (bytes: Buffer) => Promise<Buffer>>> = {
  br: (bytes) =>
    promisify(brotliCompress)(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    }),
  gzip: (bytes) => promisify(gzip)(bytes, { level: 9 }),
};

/** A strong tag is of these very bytes, so each encoding has its own. */
function asBody(bytes: Buffer): Body {
  return { bytes, etag: `"${createHash('sha256').update(bytes).digest('base64url')}"` };
}
