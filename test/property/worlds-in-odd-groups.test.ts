import { holdWorlds } from './groups-of-worlds.ts';

holdWorlds(1);
