/**
 * How long names can be. Kubernetes holds the value of a label and the name of a namespace to 63 characters
 * (RFC 1123 label) and the names of objects to 253 (RFC 1123 subdomain); a kind becomes a label of a DNS name
 * as well. What usage is told apart by is made of these: a pod of 253 characters in a namespace of 63 is the
 * destination `Pod/<63>/<253>`, 321 characters.
 */
const LABEL = 63;
const OBJECT = 253;
const KIND = 63;

/** Of a tenant: the value of a label. */
export const MAX_TENANT = LABEL;
export const MAX_NAMESPACE = LABEL;
/** Of a topic's name, which begins with `usage.`, Kafka takes 249. */
export const MAX_CLUSTER = 200;
/** Kind and name. */
export const MAX_WORKLOAD = KIND + 1 + OBJECT;
/** Kind, namespace and name; names and addresses outside are shorter. */
export const MAX_DESTINATION = KIND + 1 + LABEL + 1 + OBJECT;
export const MAX_STORAGE_CLASS = OBJECT;
