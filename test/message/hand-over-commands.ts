/** How a call to Twilio ends; `taken …` are those where Twilio has the message. */
export type Fate = 'taken' | 'taken, answer lost' | 'refused' | 'too many' | 'not reached' | 'lost';
export type Command =
  | { readonly do: 'record'; readonly when: 'now' | 'later'; readonly text: number; readonly validS: number | null }
  | { readonly do: 'claim to send'; readonly limit: number; readonly isOwn: boolean }
  /** The socket opens: Twilio takes the message or not. `isListed` false: later than its log shows. */
  | { readonly do: 'call'; readonly pick: number; readonly fate: Fate; readonly isListed: boolean }
  /** Tx 2, perhaps long afterwards, perhaps twice. */
  | { readonly do: 'report'; readonly pick: number; readonly isAgain: boolean }
  | { readonly do: 'die'; readonly pick: number }
  | { readonly do: 'claim to resolve'; readonly limit: number }
  | { readonly do: 'look'; readonly pick: number; readonly canSee: boolean }
  | { readonly do: 'conclude'; readonly pick: number; readonly mayResend: boolean; readonly isAgain: boolean }
  | { readonly do: 'call back'; readonly pick: number; readonly word: string; readonly bearsOurId: boolean }
  | { readonly do: 'delete'; readonly pick: number }
  | { readonly do: 'expire' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'catch up' };
