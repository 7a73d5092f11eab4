import { describe, expect, test } from 'vitest';
import { Breakdown, type SeriesDetail } from '../../../../aggregator/attribution/breakdown.ts';
import { valueAt, type Sighting } from '../../../../aggregator/attribution/history.ts';

const WEB: SeriesDetail = { namespace: 'shop', pod: 'web-0', workload: '', destination: '', claim: '' };

function workloads(
  sightings: Readonly<Record<string, readonly Sighting[]>>,
  at: readonly number[],
  detail = WEB,
): string[] {
  const { workload } = new Breakdown(new Map(Object.entries(sightings))).of(detail);
  return at.map((t) => valueAt(workload, t));
}

const said = (...all: readonly (readonly [number, string])[]): Sighting[] =>
  all.map(([t, value]) => ({ t, value }));

describe('the workload of a pod', () => {
  test('is the controller of its replica set, of its job; else what owns it; else the pod', () => {
    const replicaSet = { 'shop/Pod/web-0': said([5, 'ReplicaSet/web-5d9']) };
    expect(workloads(replicaSet, [0, 9])).toEqual(['ReplicaSet/web-5d9', 'ReplicaSet/web-5d9']);
    const deployment = { ...replicaSet, 'shop/ReplicaSet/web-5d9': said([7, 'Deployment/web']) };
    expect(workloads(deployment, [0, 9])).toEqual(['Deployment/web', 'Deployment/web']);
    const job = { 'shop/Pod/web-0': said([5, 'Job/j']), 'shop/Job/j': said([5, 'CronJob/nightly']) };
    expect(workloads(job, [5])).toEqual(['CronJob/nightly']);
    expect(workloads({ 'shop/Pod/web-0': said([5, 'StatefulSet/web']) }, [5])).toEqual(['StatefulSet/web']);
    expect(workloads({ 'shop/Pod/web-0': said([5, '']) }, [5])).toEqual(['Pod/web-0']);
    expect(workloads({ 'blog/Pod/web-0': said([5, '']) }, [5])).toEqual(['']);
  });

  test('changes when the pod or what owns it changes, and only while it owns the pod', () => {
    const sightings = {
      'shop/Pod/web-0': said([10, 'ReplicaSet/a'], [20, 'ReplicaSet/b'], [30, 'ReplicaSet/a']),
      'shop/ReplicaSet/a': said([0, 'Deployment/x'], [15, ''], [25, 'Deployment/y']),
    };
    const times = [0, 14, 15, 19, 20, 25, 30];
    expect(workloads(sightings, times)).toEqual([
      ...['Deployment/x', 'Deployment/x', 'ReplicaSet/a', 'ReplicaSet/a'],
      ...['ReplicaSet/b', 'ReplicaSet/b', 'Deployment/y'],
    ]);
  });

  test('is what the row itself names, where it does', () => {
    const sightings = { 'shop/Pod/web-0': said([5, '']) };
    expect(workloads(sightings, [5], { ...WEB, workload: 'Deployment/web' })).toEqual(['Deployment/web']);
    expect(workloads(sightings, [5], { ...WEB, pod: '' })).toEqual(['']);
  });
});

test('a claim of no known class has none, as one that was seen without', () => {
  const claim = { ...WEB, pod: '', claim: 'data' };
  const classAt = (sightings: readonly Sighting[], t: number): string =>
    valueAt(
      new Breakdown(new Map([['shop/PersistentVolumeClaim/data', sightings]])).of(claim).storageClass,
      t,
    );
  expect(classAt([], 5)).toBe('');
  expect(classAt(said([5, '']), 5)).toBe('');
  expect(classAt(said([5, 'fast'], [9, 'slow']), 8)).toBe('fast');
});
