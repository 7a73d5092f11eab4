import { worldsOfHalf } from './seeds.ts';

worldsOfHalf(0);
