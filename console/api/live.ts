import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { now } from '../times.ts';
import type { ApiError } from './client.ts';

/** What a page shows of the service: the newest answer stays while a newer one is asked for, or fails. */
export type Live<T> = {
  readonly data: T | null;
  readonly error: ApiError | null;
  readonly isAsking: boolean;
  /** When `data` came. */
  readonly at: Date | null;
  readonly refresh: () => void;
};

type State<T> = { key: string; data: T | null; error: ApiError | null; isAsking: boolean; at: Date | null };

/**
 * Asks at once, then every so often while the page is to be seen: a hidden one asks nothing, and asks at once when it is shown
 * again. Another `key` is another question: the old answer goes.
 */
export function useLive<T>(key: string, ask: (signal: AbortSignal) => Promise<T>, everyMs: number | null): Live<T> {
  const blank = { key, data: null, error: null, isAsking: true, at: null };
  const [state, setState] = useState<State<T>>(blank);
  const [turn, setTurn] = useState(0);
  const asking = useRef(ask);
  asking.current = ask;

  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const again = () => {
      clearTimeout(timer);
      if (everyMs !== null && document.visibilityState === 'visible') timer = setTimeout(run, everyMs);
    };
    const run = async () => {
      setState((before) => (before.key === key ? { ...before, isAsking: true } : { ...blank }));
      try {
        const data = await asking.current(stop.signal);
        if (!stop.signal.aborted) setState({ key, data, error: null, isAsking: false, at: now() });
      } catch (error) {
        if (stop.signal.aborted) return;
        setState((before) => ({ ...before, key, error: error as ApiError, isAsking: false }));
      }
      if (!stop.signal.aborted) again();
    };
    const onVisible = () => (document.visibilityState === 'visible' ? void run() : clearTimeout(timer));
    void run();
    document.addEventListener('visibilitychange', onVisible);
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [key, everyMs, turn]);

  const refresh = useCallback(() => setTurn((n) => n + 1), []);
  const shown = state.key === key ? state : blank;
  return { ...shown, refresh };
}
