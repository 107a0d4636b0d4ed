import type { Answer } from '../api/client.ts';
import { Foreign, Status, Time } from '../parts/marks.tsx';
import { useLink } from '../place.ts';

export type Found = Answer<'POST /dhos/v1/sms_search'>['messages'][number];

/** Numbers are masked; a message's own page reveals. */
export function MessageTable({ messages }: { readonly messages: readonly Found[] }) {
  const link = useLink();
  return (
    <table class="messages">
      <caption class="hidden">Messages, newest first</caption>
      <thead>
        <tr>
          <th scope="col">recorded</th>
          <th scope="col">status</th>
          <th scope="col">to</th>
          <th scope="col">tenant</th>
          <th scope="col">error</th>
          <th scope="col">message</th>
        </tr>
      </thead>
      <tbody>
        {messages.map((message) => (
          <tr key={message.uuid}>
            <td data-name="recorded">
              <Time at={message.created} />
            </td>
            <td data-name="status">
              <Status status={message.status} />
            </td>
            <td data-name="to">
              {message.number_emptied === undefined ? (
                <Foreign text={message.receiver} />
              ) : (
                <span class="soft">emptied</span>
              )}
            </td>
            <td data-name="tenant">
              <Foreign text={`${message.trustomer_code}/${message.product_name}`} />
            </td>
            <td data-name="error">
              {message.error_code === undefined ? (
                <span class="soft">–</span>
              ) : (
                <a href={link(`/errors/${encodeURIComponent(message.error_code)}`)}>{message.error_code}</a>
              )}
            </td>
            <td data-name="message">
              <a class="id" href={link(`/messages/${encodeURIComponent(message.uuid)}`)}>
                {message.uuid.slice(0, 8)}…<span class="hidden"> of {message.created}</span>
              </a>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
