/**
 * What the components in use take and give: their arguments and blocks, as Alloy 1.18 has them (its reference
 * pages, and its sources where these differ: `allow_auto_topic_creation` stands in `producer`). Only what
 * some committed file uses is listed, so an argument that is new to these files is looked up before it is
 * written.
 */
export type ValueType =
  | 'string'
  | 'bool'
  | 'number'
  | 'duration'
  | 'strings'
  | 'map'
  | 'targets'
  | 'metrics'
  | 'logs'
  | 'otel'
  | 'storage';

export interface BlockShape {
  /** A type, or `!` and a type where it must be given. */
  readonly attributes?: Readonly<Record<string, ValueType | `!${ValueType}`>>;
  readonly blocks?: Readonly<Record<string, BlockShape>>;
  /** Blocks that must be there. */
  readonly required?: readonly string[];
}

export interface ComponentShape extends BlockShape {
  readonly exports?: Readonly<Record<string, ValueType>>;
}

const RULE: BlockShape = {
  attributes: {
    action: 'string',
    source_labels: 'strings',
    separator: 'string',
    regex: 'string',
    modulus: 'number',
    target_label: 'string',
    replacement: 'string',
  },
};
const TLS: BlockShape = {
  attributes: { ca_file: 'string', server_name: 'string', insecure_skip_verify: 'bool' },
};
const METRICS_OUT: BlockShape = { attributes: { metrics: 'otel' } };
const SIGNALS_OUT: BlockShape = { attributes: { logs: 'otel', traces: 'otel' } };
const QUEUE: BlockShape = {
  attributes: {
    enabled: 'bool',
    num_consumers: 'number',
    queue_size: 'number',
    sizer: 'string',
    block_on_overflow: 'bool',
    storage: 'storage',
  },
  blocks: {
    batch: {
      attributes: { flush_timeout: 'duration', sizer: 'string', min_size: 'number', max_size: 'number' },
    },
  },
};
const RETRY: BlockShape = {
  attributes: {
    enabled: 'bool',
    initial_interval: 'duration',
    max_interval: 'duration',
    max_elapsed_time: 'duration',
  },
};

/** Settings of Alloy itself, which have no label and stand at most once. */
export const SETTINGS: Readonly<Record<string, BlockShape>> = {
  logging: { attributes: { level: 'string', format: 'string' } },
  livedebugging: { attributes: { enabled: 'bool' } },
};

const DISCOVERY: Readonly<Record<string, ComponentShape>> = {
  'discovery.kubernetes': {
    attributes: { role: '!string' },
    blocks: { selectors: { attributes: { role: '!string', label: 'string', field: 'string' } } },
    exports: { targets: 'targets' },
  },
  'discovery.relabel': {
    attributes: { targets: '!targets' },
    blocks: { rule: RULE },
    exports: { output: 'targets' },
  },
  'local.file': {
    attributes: { filename: '!string', is_secret: 'bool' },
    exports: { content: 'string' },
  },
};

const PROMETHEUS: Readonly<Record<string, ComponentShape>> = {
  'prometheus.exporter.self': { exports: { targets: 'targets' } },
  'prometheus.scrape': {
    attributes: {
      targets: '!targets',
      forward_to: '!metrics',
      job_name: 'string',
      scheme: 'string',
      metrics_path: 'string',
      bearer_token_file: 'string',
      scrape_interval: 'duration',
      scrape_timeout: 'duration',
      scrape_protocols: 'strings',
      honor_labels: 'bool',
      honor_timestamps: 'bool',
      track_timestamps_staleness: 'bool',
    },
    blocks: { tls_config: TLS },
  },
  'prometheus.relabel': {
    attributes: { forward_to: '!metrics' },
    blocks: { rule: RULE },
    exports: { receiver: 'metrics' },
  },
  'prometheus.remote_write': {
    attributes: { external_labels: 'map' },
    blocks: {
      endpoint: {
        attributes: {
          url: '!string',
          bearer_token_file: 'string',
          remote_timeout: 'duration',
          send_exemplars: 'bool',
        },
        blocks: {
          queue_config: {
            attributes: {
              sample_age_limit: 'duration',
              retry_on_http_429: 'bool',
              max_samples_per_send: 'number',
              max_shards: 'number',
              max_backoff: 'duration',
            },
          },
          metadata_config: { attributes: { send: 'bool' } },
        },
      },
      wal: {
        attributes: {
          truncate_frequency: 'duration',
          min_keepalive_time: 'duration',
          max_keepalive_time: 'duration',
        },
      },
    },
    exports: { receiver: 'metrics' },
  },
};

const LOKI: Readonly<Record<string, ComponentShape>> = {
  'loki.source.kubernetes': { attributes: { targets: '!targets', forward_to: '!logs' } },
  'loki.process': {
    attributes: { forward_to: '!logs' },
    blocks: {
      'stage.drop': { attributes: { older_than: 'duration', drop_counter_reason: 'string' } },
      'stage.static_labels': { attributes: { values: '!map' } },
    },
    exports: { receiver: 'logs' },
  },
  'loki.write': {
    blocks: { endpoint: { attributes: { url: '!string' } } },
    exports: { receiver: 'logs' },
  },
};

const OTELCOL: Readonly<Record<string, ComponentShape>> = {
  'otelcol.receiver.prometheus': {
    blocks: { output: METRICS_OUT },
    required: ['output'],
    exports: { receiver: 'metrics' },
  },
  'otelcol.receiver.otlp': { blocks: { grpc: {}, http: {}, output: SIGNALS_OUT }, required: ['output'] },
  'otelcol.processor.transform': {
    attributes: { error_mode: 'string' },
    blocks: {
      metric_statements: { attributes: { context: '!string', statements: '!strings' } },
      output: METRICS_OUT,
    },
    required: ['output'],
    exports: { input: 'otel' },
  },
  'otelcol.processor.memory_limiter': {
    attributes: { check_interval: '!duration', limit: 'string', spike_limit: 'string' },
    blocks: { output: SIGNALS_OUT },
    required: ['output'],
    exports: { input: 'otel' },
  },
  'otelcol.processor.k8sattributes': {
    blocks: {
      extract: { attributes: { metadata: 'strings' } },
      filter: { attributes: { node: 'string' } },
      pod_association: { blocks: { source: { attributes: { from: '!string', name: 'string' } } } },
      output: SIGNALS_OUT,
    },
    required: ['output'],
    exports: { input: 'otel' },
  },
  'otelcol.processor.batch': {
    attributes: { timeout: 'duration', send_batch_size: 'number' },
    blocks: { output: SIGNALS_OUT },
    required: ['output'],
    exports: { input: 'otel' },
  },
  'otelcol.exporter.otlphttp': {
    blocks: {
      client: { attributes: { endpoint: '!string' } },
      sending_queue: QUEUE,
      retry_on_failure: RETRY,
    },
    required: ['client'],
    exports: { input: 'otel' },
  },
  'otelcol.storage.file': {
    attributes: { directory: 'string', create_directory: 'bool', fsync: 'bool', timeout: 'duration' },
    blocks: {
      compaction: {
        attributes: {
          directory: 'string',
          on_start: 'bool',
          on_rebound: 'bool',
          cleanup_on_start: 'bool',
          rebound_needed_threshold_mib: 'number',
          rebound_trigger_threshold_mib: 'number',
        },
      },
    },
    exports: { handler: 'storage' },
  },
  'otelcol.exporter.kafka': {
    attributes: {
      protocol_version: '!string',
      brokers: 'strings',
      client_id: 'string',
      timeout: 'duration',
      partition_metrics_by_resource_attributes: 'bool',
    },
    blocks: {
      metrics: { attributes: { topic: 'string', encoding: 'string' } },
      authentication: {
        blocks: { sasl: { attributes: { mechanism: '!string', username: 'string', password: 'string' } } },
      },
      tls: TLS,
      producer: {
        attributes: {
          required_acks: 'number',
          compression: 'string',
          max_message_bytes: 'number',
          allow_auto_topic_creation: 'bool',
        },
      },
      retry_on_failure: RETRY,
      sending_queue: QUEUE,
    },
    exports: { input: 'otel' },
  },
};

export const COMPONENTS: Readonly<Record<string, ComponentShape>> = {
  ...DISCOVERY,
  ...PROMETHEUS,
  ...LOKI,
  ...OTELCOL,
};

/** Functions in use, with what they give. */
export const FUNCTIONS: Readonly<Record<string, ValueType>> = {
  'sys.env': 'string',
  'string.format': 'string',
  'string.split': 'strings',
  coalesce: 'string',
};
