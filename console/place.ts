import { useLocation } from 'preact-iso';
import { ownTenant } from './session.ts';

/** Where the reader is: the whole filter stands in the address, so that it can be kept and shared. */

export type Tenant = { readonly trustomer_code: string; readonly product_name: string };
type Query = Readonly<Record<string, string | undefined>>;

export const ROOT = '/console';

/** An address of the console; what is empty is left out. */
export function linkTo(path: string, query: Query = {}): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value ? [[name, value]] : []));
  return `${ROOT}${path}${given.length === 0 ? '' : `?${new URLSearchParams(given)}`}`;
}

export function asWord({ trustomer_code, product_name }: Tenant): string {
  return `${trustomer_code}/${product_name}`;
}

export function useQuery() {
  const { query, path, route } = useLocation();
  return {
    query: query as Query,
    /** Changes some of it; a page's first page comes again. */
    set: (changes: Query, replace = false) => {
      const next = Object.entries({ ...query, ...changes }).flatMap(([name, value]) => (value ? [[name, value]] : []));
      route(`${path}${next.length === 0 ? '' : `?${new URLSearchParams(next as [string, string][])}`}`, replace);
    },
  };
}

/** The one tenant that is looked at, or null for all that the reader may see. A key of one tenant sees that one, whatever an address from a colleague says. */
export function useTenant(): Tenant | null {
  const { query } = useLocation();
  if (ownTenant() !== null) return null;
  const [trustomer_code = '', product_name = ''] = (query.tenant ?? '').split('/');
  return trustomer_code === '' || product_name === '' ? null : { trustomer_code, product_name };
}

/** Links that keep the tenant. */
export function useLink() {
  const { query } = useLocation();
  return (path: string, more: Query = {}) => linkTo(path, { tenant: query.tenant, ...more });
}
