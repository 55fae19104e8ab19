module github.com/inlet-go/inlet/internal/interop

go 1.26.0

replace github.com/inlet-go/inlet => ../..

require (
	github.com/stretchr/testify v1.12.1
	gopkg.in/segmentio/analytics-go.v3 v3.1.0
)

require (
	github.com/segmentio/backo-go v1.1.0 // indirect
	github.com/xtgo/uuid v0.0.0-20140804021211-a0b114877d4c // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
