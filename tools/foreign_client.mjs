// Asks an agent with @grpc/grpc-js, from the .proto files alone.
// usage: node foreign_client.mjs ADDRESS TLS_DIR PROTO_DIR; prints one object of JSON.
import fs from "node:fs";
import path from "node:path";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [address, tls, protos] = process.argv.slice(2);
const file = (name) => fs.readFileSync(path.join(tls, name));
const packages = grpc.loadPackageDefinition(
  loader.loadSync("tfplus/proto/v1/agent.proto", { includeDirs: [protos], keepCase: true }),
);
const credentials = grpc.credentials.createSsl(file("ca.pem"), file("key.pem"), file("cert.pem"));
const client = new packages.tfplus.proto.v1.Agent(address, credentials);

const status = await new Promise((resolve, reject) =>
  client.GetStatus({}, (error, answer) => (error ? reject(error) : resolve(answer))),
);
const names = [];
let bytes = 0;
await new Promise((resolve, reject) => {
  const stream = client.GetWeights({});
  stream.on("data", (part) => {
    if (part.header) names.push(...part.header.tensors.map((tensor) => tensor.name));
    if (part.chunk) bytes += part.chunk.length;
  });
  stream.on("end", resolve);
  stream.on("error", reject);
});
console.log(JSON.stringify({ name: status.name, model_sha256: status.model_sha256, names, bytes }));
client.close();
