import { randomInt } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { CannotStart } from '../errors.ts';
import type { MessagesApi } from './api.ts';
import { createTries, type Tries } from './callback-tries.ts';
import { createCallbacks } from './callbacks.ts';
import type { Courier } from './courier.ts';
import type { Happening, SimulatorEvent } from './events.ts';
import { createExchange, type Exchange } from './exchange.ts';
import { createJournal, type Journal } from './journal.ts';
import { createJudge, type Judge } from './judge.ts';
import { createLivelyApi } from './lively.ts';
import { createLives } from './lives.ts';
import { createLoad, type Load } from './load.ts';
import { createMessageStore, type MessageStore } from './message-store.ts';
import { createOutstanding, type Outstanding } from './outstanding.ts';
import { createQuietApi } from './quiet.ts';
import { createRules } from './rules.ts';
import { calmScenario, type Scenario } from './scenario.ts';
import { createTime, type Time } from './time.ts';

export type WorldOptions = {
  readonly accountSid: string;
  readonly authToken: string;
  readonly authTokenSecondary?: string;
  readonly apiKeys: Readonly<Record<string, string>>;
  readonly seed?: number;
  readonly quiet?: boolean;
  readonly speed?: number;
  readonly clock?: Clock;
  readonly scenario?: Scenario;
  readonly onEvent?: (event: SimulatorEvent) => void;
};

/** Everything that one run consists of. A reset is the end of one world and the beginning of the next. */
export type World = {
  readonly seed: number;
  readonly time: Time;
  readonly store: MessageStore;
  readonly api: MessagesApi;
  readonly exchange: Exchange;
  readonly load: Load;
  readonly journal: Journal;
  readonly judge: Judge;
  readonly tries: Tries;
  readonly outstanding: Outstanding;
  readonly scenario: () => Scenario;
  /** From now on this one counts, and its moments count from now. Refuses what this simulator cannot do. */
  useScenario(scenario: Scenario): void;
  /** Forgets what is yet to happen, and records nothing any more. */
  end(): void;
};

export function createWorld(options: WorldOptions, courier: Courier, onJournalLine: (line: string) => void): World {
  const { accountSid, authToken, authTokenSecondary, quiet = false, onEvent } = options;
  const seed = options.seed ?? options.scenario?.seed ?? randomInt(2 ** 32);
  const time = createTime(options.speed ?? 1, options.clock);
  const store = createMessageStore();
  const load = createLoad(time.elapsed);
  const journal = createJournal(time.elapsed, onJournalLine);
  const outstanding = createOutstanding();
  const tries = createTries();
  const tell = (happening: Happening) => onEvent?.({ at: new Date(time.now()), ...happening });

  let scenario = calmScenario;
  let rules = createRules(scenario, seed, time.elapsed);
  const inForce = { scenario: () => scenario, rules: () => rules };

  function useScenario(next: Scenario): void {
    if (authTokenSecondary === undefined && needsSecondary(next)) {
      throw new CannotStart(
        'The scenario signs with the secondary auth token, and there is none: give it with --token2.',
      );
    }
    const begin = time.elapsed();
    scenario = next;
    rules = createRules(next, next.seed ?? seed, () => time.elapsed() - begin);
  }

  const shared = { seed, time, outstanding, journal, tell, ...inForce };
  const callbacks = createCallbacks({ ...shared, authToken, authTokenSecondary, courier, tries });
  const lives = createLives({ seed, time, callbacks, outstanding, tell });
  const credentials = credentialsOf(options);
  const listLagMs = () => scenario.list?.lag ?? 0;
  const api = quiet
    ? createQuietApi(time)
    : createLivelyApi({ accountSid, credentials, seed, time, store, lives, listLagMs, tell });
  const exchange = createExchange({ ...shared, api, load });
  const judge = createJudge(store, load);
  if (quiet) journal.close();
  if (options.scenario !== undefined) useScenario(options.scenario);

  function end(): void {
    time.clear();
    journal.close();
    outstanding.abandon();
  }

  return {
    seed,
    time,
    store,
    api,
    exchange,
    load,
    journal,
    judge,
    tries,
    outstanding,
    scenario: inForce.scenario,
    useScenario,
    end,
  };
}

/** Both tokens of the account are good for calling, as at Twilio. */
function credentialsOf({ accountSid, authToken, authTokenSecondary, apiKeys }: WorldOptions) {
  const tokens = [authToken, ...(authTokenSecondary === undefined ? [] : [authTokenSecondary])];
  const keys = Object.entries(apiKeys).map(([user, secret]): [string, string[]] => [user, [secret]]);
  return new Map([[accountSid, tokens], ...keys]);
}

function needsSecondary({ signWith, rules }: Scenario): boolean {
  return signWith === 'secondary' || rules.some(({ on, do: act }) => on === 'callback' && act.signWith === 'secondary');
}
