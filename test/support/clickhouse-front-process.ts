/** The front as a process: `node clickhouse-front-process.ts DIRECTORY PORT`; says where it listens. */
import { startClickHouseFront } from './clickhouse-front.ts';

const [path = '', port = '0'] = process.argv.slice(2);
const { url } = await startClickHouseFront({ path, port: Number(port) });
process.stdout.write(`${url}\n`);
