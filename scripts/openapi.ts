import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startService } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import { openLog } from '../src/log.ts';
import { apiTypes } from './api-types.ts';

/** Writes docs/openapi.yaml as the running service serves it, and the types of it that the console uses. */
const dataDir = await mkdtemp(path.join(tmpdir(), 'polaris-sms-openapi-'));
const config = readConfig({
  ENVIRONMENT: 'DEVELOPMENT',
  LISTEN_ADDRESS: '127.0.0.1',
  PORT: '0',
  DATA_DIR: dataDir,
  TWILIO_DISABLED: 'true',
  LOG_LEVEL: 'WARN',
});
const service = await startService(config, { log: openLog(config.log) });
try {
  const answer = await fetch(`${service.baseUrl}/openapi.yaml`);
  if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
  const document = await answer.text();
  await writeFile(new URL('../docs/openapi.yaml', import.meta.url), document);
  await writeFile(new URL('../console/api/types.ts', import.meta.url), apiTypes(document));
  console.log('docs/openapi.yaml and console/api/types.ts are written');
} finally {
  await service.stop();
  await rm(dataDir, { recursive: true, force: true });
}
