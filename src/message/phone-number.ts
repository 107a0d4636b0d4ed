import { type CountryCode, isSupportedCountry, ParseError, parsePhoneNumberWithError } from 'libphonenumber-js/max';

/**
 * A number as a person spells it, in E.164 for Twilio; null when it is none.
 * - `possible`: country and length fit; whether the number is assigned, Twilio decides.
 * - `parsed`: anything libphonenumber can read, as the Python service took it while Twilio was disabled.
 * Spaces, brackets, `tel:`, international prefixes and extensions are understood, as Python's phonenumbers does; the extension does not go to Twilio.
 */
export function toE164(spelling: string, countryCode: string, strictness: 'possible' | 'parsed'): string | null {
  if (!isSupportedCountry(countryCode)) return null;
  const number = parse(spelling, countryCode);
  if (number === null || (strictness === 'possible' && !number.isPossible())) return null;
  return number.number;
}

function parse(spelling: string, defaultCountry: CountryCode) {
  try {
    return parsePhoneNumberWithError(spelling, { defaultCountry });
  } catch (error) {
    if (error instanceof ParseError) return null;
    throw error;
  }
}
