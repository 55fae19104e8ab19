# The command inlet as an image: one static binary, no shell, no root.
#
#   GOWORK=off go mod vendor -o .vendor
#   docker build -t inlet .
#
# The first line copies the few modules that the binary needs next to the sources. The second one
# then needs no network, apart from the base image.
FROM golang:1.26 AS build
ENV CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=vendor GOPROXY=off GOTOOLCHAIN=local
WORKDIR /src
COPY . .
COPY .vendor vendor
RUN go build -ldflags=-s -o /image/inlet ./cmd/inlet && mkdir -p /image/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /image/inlet /inlet
COPY --from=build --chown=65532:65532 /image/data /data
USER 65532:65532
ENV INLET_ADDR=:8080 INLET_DIR=/data/events
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/inlet", "ready"]
ENTRYPOINT ["/inlet"]
CMD ["serve"]
