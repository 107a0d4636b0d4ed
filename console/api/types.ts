// Made by `npm run openapi` from docs/openapi.yaml: change that, not this.

export type MessageRequest = { readonly sender: string; readonly receiver: string; readonly content: string; readonly error_code?: string | null; readonly error_message?: string | null; readonly valid_until?: string | null; readonly status?: unknown; readonly twilio_sid?: unknown; readonly date_sent?: unknown; readonly trustomer_code?: unknown; readonly product_name?: unknown };
export type SettleRequest = { readonly outcome: "sent" | "not-sent" };
export type Problem = { readonly type: "about:blank"; readonly title: string; readonly status: number; readonly detail: string; readonly message: string; readonly code: number; readonly error_code?: string; readonly message_id?: string };
export type Message = { readonly uuid: string; readonly created: string; readonly created_by: string; readonly modified: string; readonly modified_by: string; readonly sender: string; readonly receiver: string; readonly content: string; readonly status?: string; readonly twilio_sid?: string; readonly date_sent?: string; readonly trustomer_code: string; readonly product_name: string; readonly error_code?: string; readonly error_message?: string; readonly deleted?: string; readonly redacted?: string; readonly valid_until?: string; readonly content_emptied?: string; readonly number_emptied?: string };
export type Event = { readonly at: string; readonly what: string; readonly actor: string; readonly summary: string; readonly attempt?: number; readonly status_before?: string; readonly status_after?: string; readonly twilio_sid?: string; readonly http_status?: number; readonly error_code?: string; readonly parameters?: { readonly [name: string]: string } };
export type AuditEntry = { readonly id: string; readonly at: string; readonly actor: string; readonly actor_name: string; readonly action: string; readonly message_id?: string; readonly trustomer_code?: string; readonly product_name?: string; readonly details: { readonly [name: string]: unknown } };
export type BulkUpdateProgress = { readonly running: boolean; readonly started?: string; readonly finished?: string; readonly total: number; readonly asked: number; readonly changed: number; readonly gone: number; readonly failed: number; readonly redacted: number };
export type StatusCounts = { readonly data: { readonly [name: string]: { readonly [name: string]: number } }; readonly data_type: "sms_status_counts"; readonly description: string; readonly measurement_timestamp: string };
export type Health = { readonly status: "success" | "failure"; readonly results: readonly ({ readonly checker: string; readonly passed: boolean; readonly output: string })[] };
export type RedactionReport = { readonly from: string; readonly to: string; readonly finished: number; readonly emptied_at_twilio: number; readonly outstanding: number; readonly oldest_outstanding?: string; readonly emptied_here: number; readonly numbers_emptied_here: number; readonly unfinished: number; readonly left_alone: number; readonly measurement_timestamp: string };

export type Operations = {
  'POST /dhos/v1/sms': { body: MessageRequest; answer: Message };
  'GET /dhos/v1/sms': { query?: { status?: string; error_code?: string; created_after?: string; created_before?: string; receiver?: string; receiver_e164?: string; twilio_sid?: string; limit?: string; cursor?: string }; answer: readonly (Message)[] };
  'GET /dhos/v1/sms/{message_id}': { path: { message_id: string }; answer: Message };
  'DELETE /dhos/v1/sms/{message_id}': { path: { message_id: string }; query?: { erase?: "true" | "false" }; answer: Message };
  'GET /dhos/v1/sms/{message_id}/events': { path: { message_id: string }; answer: readonly (Event)[] };
  'POST /dhos/v1/sms/{message_id}/settle': { path: { message_id: string }; body: SettleRequest; answer: Message };
  'POST /dhos/v1/sms/callback': { body: string; answer: null };
  'GET /dhos/v1/sms/bulk_update': { answer: null };
  'POST /dhos/v1/sms/bulk_update': { answer: null };
  'GET /dhos/v1/sms/bulk_update/progress': { answer: BulkUpdateProgress };
  'GET /dhos/v1/sms_status_counts': { query: { start_date: string; end_date: string; trustomer_code?: string; product_name?: string }; answer: StatusCounts };
  'GET /dhos/v1/redaction_report': { query: { from: string; to: string }; answer: RedactionReport };
  'GET /dhos/v1/audit': { query?: { from?: string; to?: string; message_id?: string; limit?: string; cursor?: string }; answer: readonly (AuditEntry)[] };
  'GET /running': { answer: { readonly running: true } };
  'GET /version': { answer: { readonly circle: string; readonly hash: string; readonly version: string } };
  'GET /healthcheck': { answer: Health };
  'GET /metrics': { answer: string };
};
