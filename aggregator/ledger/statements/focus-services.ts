/** Where FOCUS 1.2 files what a meter measures: its categories and subcategories are closed lists. PURE. */
export interface FocusService {
  readonly name: string;
  readonly category: string;
  readonly subcategory: string;
}

const compute = { name: 'Kubernetes compute', category: 'Compute', subcategory: 'Containers' };
/**
 * Claims may be block volumes, file systems or local paths: FOCUS has no subcategory for "whichever it is".
 */
const storage = { name: 'Kubernetes storage', category: 'Storage', subcategory: 'Other (Storage)' };
const network = { name: 'Kubernetes network', category: 'Networking', subcategory: 'Network Connectivity' };
const application = {
  ...{ name: 'Application traffic', category: 'Networking', subcategory: 'Application Networking' },
};
const other = { name: 'Metered usage', category: 'Other', subcategory: 'Other (Other)' };

const SERVICES: Readonly<Record<string, FocusService>> = {
  cpu: compute,
  memory: compute,
  cpu_request: compute,
  memory_request: compute,
  storage,
  storage_used: storage,
  network_transmit: network,
  network_receive: network,
  egress: network,
  egress_internal: network,
  http_requests: application,
};

/** A meter that is new here is filed under `Other` until someone says where it belongs. */
export function serviceOf(meter: string): FocusService {
  return SERVICES[meter] ?? other;
}
