/** Kafka's own producer, because what others write is what has to be read. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kafkaJars } from './jars.ts';

const SOURCE = `
import java.util.Properties;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Arguments: brokers, then topic:codec:mode...; partition 0, values of the codec's name 200 times and a number. */
public class Produce {
  public static void main(String[] args) throws Exception {
    for (int i = 1; i < args.length; i++) {
      String[] parts = args[i].split(":");
      Properties p = new Properties();
      p.put("bootstrap.servers", args[0]);
      p.put("compression.type", parts[1]);
      p.put("linger.ms", "200");
      boolean transactional = parts[2].equals("transactions");
      if (transactional) p.put("transactional.id", parts[0]);
      try (var producer = new KafkaProducer<byte[], byte[]>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
        if (!transactional) { send(producer, parts, 0, 10); continue; }
        producer.initTransactions();
        producer.beginTransaction(); send(producer, parts, 0, 3); producer.commitTransaction();
        producer.beginTransaction(); send(producer, parts, 100, 103); producer.abortTransaction();
        producer.beginTransaction(); send(producer, parts, 3, 6); producer.commitTransaction();
      }
    }
  }
  static void send(Producer<byte[], byte[]> producer, String[] parts, int from, int to) {
    for (int n = from; n < to; n++) {
      byte[] value = (parts[1].repeat(200) + n).getBytes();
      producer.send(new ProducerRecord<>(parts[0], 0, null, value));
    }
    producer.flush();
  }
}
`;

export type JavaCodec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

export interface JavaRun {
  readonly topic: string;
  readonly codec: JavaCodec;
  /** Ten records as they are; or three, three that are aborted, and three more, in transactions. */
  readonly mode: 'plain' | 'transactions';
}

export function valueOf(codec: JavaCodec, n: number): string {
  return `${codec.repeat(200)}${n}`;
}

export function produceByJava(brokers: string, runs: readonly JavaRun[]): void {
  const directory = mkdtempSync(join(tmpdir(), 'kafka-java-'));
  try {
    const source = join(directory, 'Produce.java');
    writeFileSync(source, SOURCE);
    const args = runs.map(({ topic, codec, mode }) => `${topic}:${codec}:${mode}`);
    const jvm = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx128m'];
    const program = ['-cp', join(kafkaJars(), '*'), source, brokers, ...args];
    execFileSync('java', [...jvm, ...program], { stdio: 'pipe' });
  } finally {
    rmSync(directory, { recursive: true });
  }
}
