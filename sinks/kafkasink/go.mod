module github.com/inlet-go/inlet/sinks/kafkasink

go 1.26.0

replace github.com/inlet-go/inlet => ../..

require (
	github.com/inlet-go/inlet v0.0.0
	github.com/stretchr/testify v1.12.1
	// At least v1.22.2: before, a record whose batch was given up could be acknowledged without having
	// been written (twmb/franz-go#1484). TestGivenUp fails with v1.22.1.
	github.com/twmb/franz-go v1.22.3
	github.com/twmb/franz-go/pkg/kadm v1.20.0 // indirect
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c
	github.com/twmb/franz-go/pkg/kmsg v1.15.1
)

require (
	github.com/go-json-experiment/json v0.0.0-20260820222146-c27c302e5fc3 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
