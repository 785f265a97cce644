// One session of an agent and one request to a shop, told by the official SDK; where to, and how, says the environment.
// node session.mjs NAME  prints the ids of its traces as JSON. ../otlp_client.py tells the same, ../otlp_session.py what
// must be read back. The name is the person's, and part of the ids of session and prompt.

import { SpanStatusCode, ValueType, context, trace } from '@opentelemetry/api';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

const SCOPE = 'com.anthropic.claude_code';
const name = process.argv[2];
const who = { 'user.email': `${name}@example.com`, 'session.id': `${name}-session` };
const tokens = { input: 10, output: 20, cacheRead: 60, cacheCreation: 30 };
const begin = Date.now() - 20_000;

const service = (called) =>
  resourceFromAttributes({ 'service.name': called }).merge(detectResources({ detectors: [envDetector] }));
const tracerProvider = (called) =>
  new TracerProvider({
    resource: service(called),
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  });

const agentTracers = tracerProvider('claude-code');
const shopTracers = tracerProvider('shop');
const loggers = new LoggerProvider({
  resource: service('claude-code'),
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })],
});
const meters = new MeterProvider({
  resource: service('claude-code'),
  readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter(), exportIntervalMillis: 3_600_000 })],
});

function span(tracer, parent, work, fromMs, toMs, attributes = {}, status = undefined) {
  const above = parent ? trace.setSpan(context.active(), parent) : context.active();
  const made = tracer.startSpan(work, { startTime: begin + fromMs, attributes }, above);
  if (status !== undefined) made.setStatus({ code: status });
  made.end(begin + toMs);
  return made;
}

const tracer = agentTracers.getTracer(`${SCOPE}.tracing`, '1.0.0');
const turn = span(tracer, undefined, 'claude_code.interaction', 0, 10_000, { ...who, 'interaction.sequence': 1 });
span(tracer, turn, 'claude_code.llm_request', 0, 1_000, {
  ...who, model: 'claude-sonnet-5', request_id: 'req-1', input_tokens: 10, output_tokens: 20, cache_read_tokens: 60,
  cache_creation_tokens: 30, success: true,
});
const tool = span(tracer, turn, 'claude_code.tool', 1_000, 6_000, { ...who, tool_name: 'Bash', tool_use_id: 'call-1' });
span(tracer, tool, 'claude_code.tool.blocked_on_user', 1_000, 4_000, {
  ...who, decision: 'accept', source: 'user_temporary',
});
span(tracer, tool, 'claude_code.tool.execution', 4_000, 6_000, { ...who, tool_use_id: 'call-1', success: true });

const logger = loggers.getLogger(`${SCOPE}.events`, '2.1.329');
const inTurn = trace.setSpan(context.active(), turn);
let sequence = 0;
function event(kind, atMs, attributes) {
  logger.emit({
    timestamp: begin + atMs, observedTimestamp: begin + atMs, context: inTurn, body: `claude_code.${kind}`,
    attributes: { ...who, 'event.name': kind, 'event.sequence': sequence++, 'prompt.id': `${name}-prompt`, ...attributes },
  });
}
event('user_prompt', 0, { prompt_length: '9', prompt: 'my secret' });
event('api_request', 1_000, {
  model: 'claude-sonnet-5', request_id: 'req-1', cost_usd: 0.75, duration_ms: 1000, query_source: 'repl_main_thread',
  input_tokens: 10, output_tokens: 20, cache_read_tokens: 60, cache_creation_tokens: 30,
});
event('tool_decision', 1_000, { tool_name: 'Read', decision: 'accept', source: 'config' });
event('tool_decision', 4_000, {
  tool_name: 'Bash', tool_use_id: 'call-1', decision: 'accept', source: 'user_temporary',
});
event('tool_result', 6_000, { tool_name: 'Bash', tool_use_id: 'call-1', success: 'true', duration_ms: '2000' });

const meter = meters.getMeter(SCOPE, '2.1.329');
const used = { ...who, model: 'claude-sonnet-5', query_source: 'main' };
const cost = meter.createCounter('claude_code.cost.usage', { unit: 'USD' });
const tokenUsage = meter.createCounter('claude_code.token.usage', { unit: 'tokens', valueType: ValueType.INT });
meter.createCounter('claude_code.session.count').add(1, { ...who, start_type: 'fresh' });
meter.createCounter('claude_code.active_time.total', { unit: 's' }).add(12.5, { ...who, type: 'cli' });
for (const [type, count] of Object.entries(tokens)) tokenUsage.add(count, { ...used, type });
for (let third = 0; third < 3; third++) {
  cost.add(0.25, used);
  await meters.forceFlush();
}

const shop = shopTracers.getTracer('shop');
const basket = span(shop, undefined, 'GET /basket', 0, 40, { 'http.response.status_code': 500 }, SpanStatusCode.ERROR);
span(shop, basket, 'SELECT', 10, 25, { 'db.query.text': 'my secret' });

await Promise.all([agentTracers, shopTracers, loggers, meters].map((provider) => provider.shutdown()));
console.log(JSON.stringify({ turn: turn.spanContext().traceId, shop: basket.spanContext().traceId }));
