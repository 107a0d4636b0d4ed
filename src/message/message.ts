/** A message as the service knows it; the names are those of the wire format and of the table's columns. */
export type Message = {
  readonly uuid: string;
  readonly created: Date;
  readonly created_by: string;
  readonly modified: Date;
  readonly modified_by: string;
  readonly sender: string;
  /** Exactly as the caller spelled it; E.164 goes to Twilio only. */
  readonly receiver: string;
  readonly content: string;
  /** Rows of the Python service can hold null or words this service does not know. */
  readonly status: string | null;
  /** Null until Twilio has answered. */
  readonly twilio_sid: string | null;
  /** ISO 8601 in UTC on rows written here. */
  readonly date_sent: string | null;
  readonly trustomer_code: string;
  readonly product_name: string;
  readonly error_code: string | null;
  readonly error_message: string | null;
  readonly deleted: Date | null;
  /** When Twilio's copy of the text was emptied. */
  readonly redacted: Date | null;
  /** What went, or goes, to Twilio; null on rows of others. */
  readonly receiver_e164: string | null;
  /** After this moment nothing is sent. */
  readonly valid_until: Date | null;
  /** How many licences to call Twilio were given out. */
  readonly attempts: number;
  /** When the text was emptied here: `content` is empty from then on. */
  readonly content_emptied: Date | null;
  /** When the number was emptied here: `receiver` is a keyed hash from then on. */
  readonly number_emptied: Date | null;
};

/** On whose behalf a message is sent: trust and product, both in lower case. */
export type Tenant = { readonly trustomerCode: string; readonly productName: string };

/** Whose messages a caller may reach. */
export type Reach = Tenant | 'all tenants';

/** Who does something, for the record: an API key. Null: nobody has a name, because authentication is off. */
export type Author = { readonly id: string; readonly name: string } | null;

/** What a caller asks for. The error fields are for old clients; Twilio's own replace them. */
export type MessageRequest = {
  readonly sender: string;
  readonly receiver: string;
  /** The receiver in E.164. */
  readonly to: string;
  readonly content: string;
  readonly validUntil: Date | null;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
};

/** The author on rows of callers without a name. */
export const UNKNOWN_AUTHOR = 'unknown';

export function belongsTo(message: Message, tenant: Tenant): boolean {
  return message.trustomer_code === tenant.trustomerCode && message.product_name === tenant.productName;
}

/** Twilio's limit, https://www.twilio.com/docs/messaging/api/message-resource; in UTF-16 units. */
export const MAX_CONTENT_LENGTH = 1600;
