import { once } from 'node:events';
import { createServer } from 'node:http';
import pg from 'pg';
import Cursor from 'pg-cursor';

/** A bare program that answers every request with all of a tenant's messages, the same JSON, from a cursor: argument database URL. */
const [, , databaseUrl] = process.argv;
const statement = `
  SELECT content, content_emptied, created, created_by_ AS created_by, date_sent, deleted, error_code, error_message, modified,
    modified_by_ AS modified_by, number_emptied, product_name, receiver, redacted, sender, status, trustomer_code, twilio_sid,
    uuid, valid_until
  FROM message WHERE trustomer_code = $1 AND product_name = $2 AND deleted IS NULL ORDER BY created DESC, uuid`;
// As the service has it: JSON.stringify leaves out undefined, and PostgreSQL's times are UTC.
const asUtc = (text: string) => new Date(`${text.replace(' ', 'T')}Z`);
const types = {
  getTypeParser: (oid: number) => (oid === pg.types.builtins.TIMESTAMP ? asUtc : (text: string) => text),
};
const leaveOutNull = (_key: string, value: unknown) => value ?? undefined;
const pool = new pg.Pool({ connectionString: databaseUrl });

const server = createServer(async (_request, response) => {
  const client = await pool.connect();
  await client.query('BEGIN; SET LOCAL enable_sort = off; SET LOCAL jit = off');
  const cursor = client.query(new Cursor(statement, ['ouh', 'gdm'], { types } as object));
  response.setHeader('content-type', 'application/json; charset=utf-8');
  let separator = '[';
  for (;;) {
    const rows = await cursor.read(500);
    if (rows.length === 0) break;
    const text = rows.map((row) => JSON.stringify(row, leaveOutNull)).join(',');
    if (!response.write(separator + text)) await once(response, 'drain');
    separator = ',';
  }
  response.end(separator === '[' ? '[]' : ']');
  await client.query('COMMIT');
  client.release();
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`);
});
