/**
 * The table that both floors write: the original's, as the platform knows it, with the original's indexes and the one on
 * the SID without which no callback would find its row. None of the columns, tables and indexes of the guarantees.
 */
export const floorTables = `
  CREATE TABLE floor_message (
    uuid varchar(36) PRIMARY KEY, created timestamp NOT NULL, created_by_ varchar NOT NULL, modified timestamp NOT NULL,
    modified_by_ varchar NOT NULL, sender varchar NOT NULL, receiver varchar NOT NULL, content varchar NOT NULL,
    status varchar, twilio_sid varchar, date_sent varchar, trustomer_code varchar NOT NULL,
    product_name varchar NOT NULL, error_code varchar, error_message varchar, deleted timestamp, redacted timestamp);
  CREATE INDEX ON floor_message (created);
  CREATE INDEX ON floor_message (product_name);
  CREATE INDEX ON floor_message (receiver);
  CREATE INDEX ON floor_message (trustomer_code);
  CREATE INDEX ON floor_message (redacted);
  CREATE INDEX ON floor_message (status);
  CREATE INDEX ON floor_message (twilio_sid);
  CREATE TABLE floor_callback (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, received timestamp NOT NULL, twilio_sid varchar NOT NULL,
    message_status varchar NOT NULL, parameters jsonb NOT NULL)`;
