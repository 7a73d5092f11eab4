import { expect, test } from 'vitest';
import { Agenda } from '../../../../collectors/simulator/agenda.ts';
import { renderLabels } from '../../../../collectors/simulator/labels.ts';
import { decimal, Exposition } from '../../../../collectors/simulator/pages/exposition.ts';

test.each([
  [0n, 9, '0'],
  [1n, 9, '0.000000001'],
  [1_500_000_000n, 9, '1.5'],
  [9_007_199_254_740_993n, 9, '9007199.254740993'],
  [250n, 3, '0.25'],
])('%s with %s places is %s', (amount, places, text) => {
  expect(decimal(amount, places)).toBe(text);
});

test('a page has its family first, then its rows, with a time only where there is one', () => {
  const page = new Exposition();
  page.family('a_total', 'counter', 'As.');
  page.row('', 1);
  page.row(renderLabels({ x: 'q"\\\n', y: '' }), 2n, 1_000);
  expect(page.toString()).toBe(
    '# HELP a_total As.\n# TYPE a_total counter\na_total 1\na_total{x="q\\"\\\\\\n",y=""} 2 1000\n',
  );
});

test('an agenda runs by time, then in the order of planning, and what is planned meanwhile too', () => {
  const agenda = new Agenda();
  const ran: string[] = [];
  agenda.at(20, () => ran.push('b'));
  agenda.at(20, () => ran.push('c'));
  agenda.at(10, (t) => {
    ran.push('a');
    agenda.at(t + 10, () => ran.push('d'));
  });
  agenda.every(15, 10, (t) => ran.push(String(t)));
  agenda.runUntil(25);
  expect(ran).toEqual(['a', '15', 'b', 'c', 'd', '25']);
});
