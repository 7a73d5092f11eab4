/**
 * `series IN ${idsIn('series')}` finds ids of 16 bytes, bound as a list of their hex digits.
 *
 * What `IN` looks up among Strings it makes a String first, and of a FixedString that one leaves out the zero
 * bytes at its end: one id in 256 would never be found. So the list is of FixedStrings as well.
 */
export function idsIn(parameter: string): string {
  return `(SELECT toFixedString(unhex(arrayJoin({${parameter}:Array(String)})), 16))`;
}
