import {
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  isSupportedCountry,
  ParseError,
  parsePhoneNumberWithError,
} from 'libphonenumber-js/max';

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

/**
 * The countries, ISO 3166-1 alpha-2, in which a number in E.164 may be: one when it fits one's plan. A number that fits none
 * may be in any country that shares its code (+1, +44, +7 …), and one of no country's (+800, +882) is in none.
 */
export function countriesOf(e164: string): readonly string[] {
  const number = parsePhoneNumberWithError(e164);
  if (number.country !== undefined) return [number.country];
  return getCountries().filter((country) => getCountryCallingCode(country) === number.countryCallingCode);
}

function parse(spelling: string, defaultCountry: CountryCode) {
  try {
    return parsePhoneNumberWithError(spelling, { defaultCountry });
  } catch (error) {
    if (error instanceof ParseError) return null;
    throw error;
  }
}
