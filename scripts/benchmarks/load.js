// A bounded load for k6: the same call again and again, by gRPC or as JSON over HTTP.
//
// Everything comes from the environment, so that one script serves every row of the table.
import exec from 'k6/execution';
import grpc from 'k6/net/grpc';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';

const failed = new Counter('failed');
const took = new Trend('took', true);
const callers = Number(__ENV.CALLERS);
const sampled = Number(__ENV.SAMPLED_PERCENT);
const targets = JSON.parse(open(__ENV.TARGETS)); // what each caller bets on, in turn

export const options = {
  scenarios: {
    load: { executor: 'constant-vus', vus: callers, duration: __ENV.DURATION, gracefulStop: '2s' },
  },
  summaryTrendStats: ['med', 'p(95)', 'p(99)'],
};

const client = new grpc.Client();
if (__ENV.KIND === 'grpc') client.loadProtoset(__ENV.PROTOSET);
const tls =
  __ENV.KIND === 'grpc'
    ? { cacerts: [open(__ENV.AUTHORITY)], cert: open(__ENV.CERTIFICATE), key: open(__ENV.KEY) }
    : undefined;
let connected = false;

function hex(digits) {
  let text = '';
  while (text.length < digits) text += Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, '0');
  return text.slice(0, digits);
}

function traceparent() {
  const flag = Math.random() * 100 < sampled ? '01' : '00';
  return `00-${hex(32)}-${hex(16)}-${flag}`;
}

export default function () {
  const number = `${__ENV.RUN}-${exec.vu.idInTest}-${exec.vu.iterationInScenario}`;
  const body = Object.assign({}, targets[exec.vu.idInTest % targets.length], {
    transactionId: `t-${number}`,
    roundId: `r-${number}`,
  });
  let ok, answer;
  if (__ENV.KIND === 'grpc') {
    if (!connected) {
      client.connect(__ENV.ADDRESS, { tls, timeout: '5s' });
      connected = true;
    }
    answer = client.invoke(__ENV.METHOD, body, {
      metadata: { traceparent: traceparent() },
      timeout: '5s',
    });
    ok = answer.status === grpc.StatusOK;
  } else {
    answer = http.post(`https://${__ENV.ADDRESS}${__ENV.METHOD}`, JSON.stringify(body), {
      headers: {
        'content-type': 'application/json',
        'x-api-key': __ENV.API_KEY,
        traceparent: traceparent(),
      },
      timeout: '5s',
    });
    ok = answer.status === 200;
    took.add(answer.timings.duration);
  }
  if (!ok) {
    failed.add(1);
    if (exec.vu.iterationInScenario === 0) console.error(JSON.stringify(answer).slice(0, 600));
  }
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data.metrics) };
}
