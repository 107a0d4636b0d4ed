# The service and its console: no dev dependencies, no embedded PostgreSQL. Only the console is built; Node runs TypeScript as it is.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional

FROM node:24-slim AS console
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --omit=optional
COPY tsconfig.json ./
COPY console console
RUN npm run console:build

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
# build-*.txt: what /version answers; the build writes them, and they may be missing.
COPY package.json build-*.txt ./
COPY src src
COPY --from=console /app/dist/console dist/console
USER node
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || process.env.SERVER_PORT || 5000}/running`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--max-semi-space-size=4", "--heap-growing-percent=20", "src/index.ts"]
