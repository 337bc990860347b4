# The command as an image, of which what runs is a few files and Node:
#
#   docker build --tag cluster-import .
#   docker run --rm --init --network host --volume cluster-import:/state cluster-import --from 10.0.0.5:6379 --to 10.0.1.1:7000
#
# docs/docker.md says what to look out for.
ARG NODE_IMAGE=node:22-alpine

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts ./scripts
COPY src ./src
COPY page ./page
RUN npm run build
# What --queue and `worker` need besides.
RUN node -p "['bullmq', 'ioredis'].map((name) => name + '@' + require('./node_modules/' + name + '/package.json').version).join(' ')" \
  | xargs npm install --prefix /queue --no-audit --no-fund

FROM ${NODE_IMAGE}
COPY --from=build /build/package.json /opt/cluster-import/
COPY --from=build /build/dist/cli.bundle.js /build/dist/probe-worker.bundle.js /build/dist/job-process.bundle.js /build/dist/page.html /opt/cluster-import/dist/
COPY --from=build /queue/node_modules /opt/cluster-import/node_modules
COPY bin/cluster-import.js /opt/cluster-import/bin/
# The journal, by which the next container goes on, and the sockets of `ctl`.
RUN ln -s /opt/cluster-import/bin/cluster-import.js /usr/local/bin/cluster-import \
 && mkdir -m 700 /state && chown 1000:1000 /state
ENV XDG_STATE_HOME=/state
VOLUME /state
# By its number, so that Kubernetes sees that it is not root.
USER 1000:1000
WORKDIR /state
# Signals reach the run itself: SIGTERM finishes the batches in flight.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/opt/cluster-import/bin/cluster-import.js"]
CMD ["--help"]
