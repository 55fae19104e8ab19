//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/inlettest"
	"github.com/inlet-go/inlet/internal/server"
	"github.com/inlet-go/inlet/internal/testkit"
)

// The manifests of docs/KUBERNETES.md, as far as they use the API of Kubernetes: a member that is
// not in these types is an error.
type (
	manifest struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   metadata          `json:"metadata"`
		StringData map[string]string `json:"stringData"`
		Data       map[string]string `json:"data"`
		Spec       json.RawMessage   `json:"spec"`
	}
	metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	}
	labelSelector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	}
	serviceSpec struct {
		ClusterIP string            `json:"clusterIP"`
		Selector  map[string]string `json:"selector"`
		Ports     []struct {
			Name       string `json:"name"`
			Port       int    `json:"port"`
			TargetPort string `json:"targetPort"`
		} `json:"ports"`
	}
	budgetSpec struct {
		MaxUnavailable int           `json:"maxUnavailable"`
		Selector       labelSelector `json:"selector"`
	}
	policySpec struct {
		PodSelector labelSelector `json:"podSelector"`
		PolicyTypes []string      `json:"policyTypes"`
		Ingress     []struct {
			Ports []struct {
				Port string `json:"port"`
			} `json:"ports"`
		} `json:"ingress"`
	}
	statefulSetSpec struct {
		ServiceName         string        `json:"serviceName"`
		Replicas            int           `json:"replicas"`
		PodManagementPolicy string        `json:"podManagementPolicy"`
		Selector            labelSelector `json:"selector"`
		UpdateStrategy      struct {
			Type string `json:"type"`
		} `json:"updateStrategy"`
		Retention struct {
			WhenDeleted string `json:"whenDeleted"`
			WhenScaled  string `json:"whenScaled"`
		} `json:"persistentVolumeClaimRetentionPolicy"`
		Template struct {
			Metadata metadata `json:"metadata"`
			Spec     podSpec  `json:"spec"`
		} `json:"template"`
		Claims []struct {
			Metadata metadata `json:"metadata"`
			Spec     struct {
				AccessModes []string  `json:"accessModes"`
				Resources   resources `json:"resources"`
			} `json:"spec"`
		} `json:"volumeClaimTemplates"`
	}
	podSpec struct {
		GracePeriod      int  `json:"terminationGracePeriodSeconds"`
		AutomountAccount bool `json:"automountServiceAccountToken"`
		SecurityContext  struct {
			RunAsNonRoot        bool   `json:"runAsNonRoot"`
			RunAsUser           int    `json:"runAsUser"`
			RunAsGroup          int    `json:"runAsGroup"`
			FSGroup             int    `json:"fsGroup"`
			FSGroupChangePolicy string `json:"fsGroupChangePolicy"`
			SeccompProfile      struct {
				Type string `json:"type"`
			} `json:"seccompProfile"`
		} `json:"securityContext"`
		Spread []struct {
			MaxSkew           int           `json:"maxSkew"`
			TopologyKey       string        `json:"topologyKey"`
			WhenUnsatisfiable string        `json:"whenUnsatisfiable"`
			LabelSelector     labelSelector `json:"labelSelector"`
		} `json:"topologySpreadConstraints"`
		Containers []container `json:"containers"`
		Volumes    []struct {
			Name   string `json:"name"`
			Secret struct {
				SecretName  string `json:"secretName"`
				DefaultMode int    `json:"defaultMode"`
				Items       []struct {
					Key  string `json:"key"`
					Path string `json:"path"`
				} `json:"items"`
			} `json:"secret"`
		} `json:"volumes"`
	}
	container struct {
		Name    string   `json:"name"`
		Image   string   `json:"image"`
		Args    []string `json:"args"`
		EnvFrom []struct {
			ConfigMapRef struct {
				Name string `json:"name"`
			} `json:"configMapRef"`
		} `json:"envFrom"`
		Env []struct {
			Name      string `json:"name"`
			Value     string `json:"value"`
			ValueFrom *struct {
				SecretKeyRef struct {
					Name string `json:"name"`
					Key  string `json:"key"`
				} `json:"secretKeyRef"`
			} `json:"valueFrom"`
		} `json:"env"`
		Ports []struct {
			Name          string `json:"name"`
			ContainerPort int    `json:"containerPort"`
		} `json:"ports"`
		StartupProbe   probe `json:"startupProbe"`
		LivenessProbe  probe `json:"livenessProbe"`
		ReadinessProbe probe `json:"readinessProbe"`
		Lifecycle      struct {
			PreStop struct {
				Sleep struct {
					Seconds int `json:"seconds"`
				} `json:"sleep"`
			} `json:"preStop"`
		} `json:"lifecycle"`
		Resources       resources `json:"resources"`
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `json:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `json:"readOnlyRootFilesystem"`
			Capabilities             struct {
				Drop []string `json:"drop"`
			} `json:"capabilities"`
		} `json:"securityContext"`
		VolumeMounts []struct {
			Name      string `json:"name"`
			MountPath string `json:"mountPath"`
			ReadOnly  bool   `json:"readOnly"`
		} `json:"volumeMounts"`
	}
	probe struct {
		HTTPGet struct {
			Path string `json:"path"`
			Port string `json:"port"`
		} `json:"httpGet"`
		PeriodSeconds    int `json:"periodSeconds"`
		TimeoutSeconds   int `json:"timeoutSeconds"`
		FailureThreshold int `json:"failureThreshold"`
	}
	resources struct {
		Requests map[string]string `json:"requests"`
		Limits   map[string]string `json:"limits"`
	}
)

// apiVersions has the version of each kind.
var apiVersions = map[string]string{
	"Secret": "v1", "ConfigMap": "v1", "Service": "v1", "StatefulSet": "apps/v1", "PodDisruptionBudget": "policy/v1",
	"NetworkPolicy": "networking.k8s.io/v1",
}

// A cluster is the manifests.
type cluster struct {
	secret, config map[string]string
	services       map[string]serviceSpec
	set            statefulSetSpec
	budget         budgetSpec
	policy         policySpec
}

// strictly reads JSON that has nothing but what v has.
func strictly(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// readCluster reads manifests in YAML.
func readCluster(text string) (*cluster, error) {
	c := &cluster{services: map[string]serviceSpec{}}
	for document := range strings.SplitSeq(text, "\n---\n") {
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(document), &tree); err != nil {
			return nil, err
		}
		data, err := json.Marshal(tree)
		if err != nil {
			return nil, err
		}
		var m manifest
		if err := strictly(data, &m); err != nil {
			return nil, err
		}
		if apiVersions[m.Kind] == "" || m.APIVersion != apiVersions[m.Kind] {
			return nil, fmt.Errorf("%s in the version %s", m.Kind, m.APIVersion)
		}
		if err := c.add(&m); err != nil {
			return nil, fmt.Errorf("%s %s: %w", m.Kind, m.Metadata.Name, err)
		}
	}
	return c, nil
}

func (c *cluster) add(m *manifest) error {
	switch m.Kind {
	case "Secret":
		c.secret = m.StringData
	case "ConfigMap":
		c.config = m.Data
	case "Service":
		var s serviceSpec
		err := strictly(m.Spec, &s)
		c.services[m.Metadata.Name] = s
		return err
	case "StatefulSet":
		return strictly(m.Spec, &c.set)
	case "PodDisruptionBudget":
		return strictly(m.Spec, &c.budget)
	case "NetworkPolicy":
		return strictly(m.Spec, &c.policy)
	}
	return nil
}

// documentedCluster reads the manifests of the page.
func documentedCluster(t *testing.T) *cluster {
	t.Helper()
	c, err := readCluster(testkit.Block(t, kubernetesPage, "manifests", "yaml"))
	require.NoError(t, err)
	return c
}

const kubernetesPage = "../../docs/KUBERNETES.md"

// container returns the only one.
func (c *cluster) container() *container { return &c.set.Template.Spec.Containers[0] }

// flag returns the value of an argument of the container.
func (c *cluster) flag(name string) string {
	args := c.container().Args
	if i := slices.Index(args, "-"+name); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// environment returns the variables of the container.
func (c *cluster) environment() map[string]string {
	env := map[string]string{}
	for _, from := range c.container().EnvFrom {
		if from.ConfigMapRef.Name == "inlet" {
			for name, value := range c.config {
				env[name] = value
			}
		}
	}
	for _, e := range c.container().Env {
		env[e.Name] = e.Value
		if e.ValueFrom != nil {
			env[e.Name] = c.secret[e.ValueFrom.SecretKeyRef.Key]
		}
	}
	return env
}

// quantity reads an amount of memory in MiB, as Kubernetes or Go writes it.
func quantity(t *testing.T, text string) int64 {
	t.Helper()
	m := regexp.MustCompile(`^([0-9]+)(Mi|Gi)B?$`).FindStringSubmatch(text)
	require.NotNil(t, m, "%q", text)
	n, err := strconv.ParseInt(m[1], 10, 64)
	require.NoError(t, err)
	if m[2] == "Gi" {
		n <<= 10
	}
	return n
}

func seconds(t *testing.T, text string) int {
	t.Helper()
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return int(d / time.Second)
}

// drainedMessage is what a server logs whose directory may be given up.
const drainedMessage = "all destinations have everything"

func TestKubernetes(t *testing.T) {
	t.Parallel()
	c := documentedCluster(t)
	pod, box, env := &c.set.Template.Spec, c.container(), c.environment()
	require.Len(t, pod.Containers, 1)
	t.Run("labels and names match", func(t *testing.T) {
		t.Parallel()
		labels := c.set.Template.Metadata.Labels
		require.NotEmpty(t, labels)
		require.Len(t, c.services, 2)
		for name, s := range c.services {
			require.Equal(t, labels, s.Selector)
			require.Equal(t, name == c.set.ServiceName, s.ClusterIP == "None", "the StatefulSet needs a headless service")
			require.Equal(t, box.Ports[0].Name, s.Ports[0].TargetPort)
		}
		require.Contains(t, c.services, c.set.ServiceName)
		for _, selector := range []labelSelector{c.set.Selector, c.budget.Selector, c.policy.PodSelector, pod.Spread[0].LabelSelector} {
			require.Equal(t, labels, selector.MatchLabels)
		}
		require.Equal(t, box.Ports[0].Name, c.policy.Ingress[0].Ports[0].Port)
		require.Equal(t, 1, c.budget.MaxUnavailable)
	})
	t.Run("each flag and variable exists, and is set once", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "serve", box.Args[0])
		variables := map[string]bool{}
		for _, name := range flagsOf(t, "serve") {
			variables[variable(name)] = true
		}
		for i := 1; i < len(box.Args); i += 2 {
			name := variable(strings.TrimPrefix(box.Args[i], "-"))
			require.True(t, variables[name], "%s is no flag", box.Args[i])
			require.NotContains(t, env, name)
		}
		require.Len(t, env, len(c.config)+len(box.Env), "a variable is set twice")
		destination, err := destinationOf(env)
		require.NoError(t, err)
		for name := range env {
			known := variables[name] || name == "GOMEMLIMIT" || name == "INLET_KEY_"+strings.ToUpper(destination.Name)
			require.True(t, known, "%s is no variable", name)
		}
	})
	t.Run("secrets and volumes exist", func(t *testing.T) {
		t.Parallel()
		for _, e := range box.Env {
			if e.ValueFrom != nil {
				require.Equal(t, "inlet", e.ValueFrom.SecretKeyRef.Name)
				require.NotEmpty(t, c.secret[e.ValueFrom.SecretKeyRef.Key])
			}
		}
		writable := ""
		for _, m := range box.VolumeMounts {
			switch {
			case m.Name == c.set.Claims[0].Metadata.Name:
				require.False(t, m.ReadOnly)
				writable = m.MountPath
			default:
				require.Equal(t, pod.Volumes[0].Name, m.Name)
				require.True(t, m.ReadOnly)
				item := pod.Volumes[0].Secret.Items[0]
				require.NotEmpty(t, c.secret[item.Key])
				require.Equal(t, path.Join(m.MountPath, item.Path), c.flag("keys"))
			}
		}
		require.True(t, strings.HasPrefix(env["INLET_DIR"], writable+"/"), "only the volume can be written to")
		require.Equal(t, 0o440, pod.Volumes[0].Secret.DefaultMode, "the group may read it")
		require.Equal(t, []string{"ReadWriteOncePod"}, c.set.Claims[0].Spec.AccessModes)
	})
	t.Run("times fit", func(t *testing.T) {
		t.Parallel()
		stop := box.Lifecycle.PreStop.Sleep.Seconds + seconds(t, c.flag("drain-timeout")) + 4*int(server.StepTimeout/time.Second)
		require.Greater(t, pod.GracePeriod, stop)
		require.Greater(t, seconds(t, c.flag("lock-timeout")), stop, "the next process waits until this one is killed")
		start := box.StartupProbe.PeriodSeconds * box.StartupProbe.FailureThreshold
		require.Greater(t, start, seconds(t, c.flag("lock-timeout")))
		require.Greater(t, box.Lifecycle.PreStop.Sleep.Seconds, box.ReadinessProbe.PeriodSeconds)
		require.Positive(t, box.LivenessProbe.PeriodSeconds*box.LivenessProbe.FailureThreshold)
	})
	t.Run("sizes fit", func(t *testing.T) {
		t.Parallel()
		requests, err := strconv.ParseInt(env["INLET_MEMORY"], 10, 64)
		require.NoError(t, err)
		limit, container := quantity(t, env["GOMEMLIMIT"]), quantity(t, box.Resources.Limits["memory"])
		require.GreaterOrEqual(t, limit, requests*5/4+64+64)
		require.GreaterOrEqual(t, container, limit*3/2)
		require.Equal(t, box.Resources.Limits["memory"], box.Resources.Requests["memory"])
		retained, err := strconv.ParseInt(env["INLET_RETAIN_SIZE"], 10, 64)
		require.NoError(t, err)
		disk := quantity(t, c.set.Claims[0].Spec.Resources.Requests["storage"])
		require.GreaterOrEqual(t, disk-max(256, disk/100), retained+256+64, "events, rejects and a segment above the low-water mark")
	})
	t.Run("it has no rights", func(t *testing.T) {
		t.Parallel()
		require.True(t, pod.SecurityContext.RunAsNonRoot)
		require.Equal(t, pod.SecurityContext.RunAsUser, pod.SecurityContext.FSGroup)
		require.Equal(t, "RuntimeDefault", pod.SecurityContext.SeccompProfile.Type)
		require.NotNil(t, box.SecurityContext.AllowPrivilegeEscalation)
		require.False(t, *box.SecurityContext.AllowPrivilegeEscalation)
		require.True(t, box.SecurityContext.ReadOnlyRootFilesystem)
		require.Equal(t, []string{"ALL"}, box.SecurityContext.Capabilities.Drop)
		require.False(t, pod.AutomountAccount)
	})
	t.Run("the image has what they name", func(t *testing.T) {
		t.Parallel()
		image := readDockerfile(t)
		require.Equal(t, fmt.Sprint(pod.SecurityContext.RunAsUser), image.last("USER"))
		require.Equal(t, fmt.Sprint(box.Ports[0].ContainerPort), image.last("EXPOSE"))
		require.Equal(t, image.last("VOLUME"), path.Dir(image.env["INLET_DIR"]))
		for _, name := range []string{"INLET_ADDR", "INLET_DIR"} {
			require.Equal(t, image.env[name], env[name])
		}
		require.Equal(t, fmt.Sprintf(":%d", box.Ports[0].ContainerPort), env["INLET_ADDR"])
	})
	t.Run("the commands name what is there", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, testkit.Block(t, kubernetesPage, "image", "sh"), "docker build -t "+box.Image+" .\n")
		image, port := readDockerfile(t), box.Ports[0].ContainerPort
		require.Equal(t, fmt.Sprintf("docker run --rm -p 127.0.0.1:%[1]d:%[1]d -v inlet-data:%s %s\n", port, image.last("VOLUME"), box.Image),
			testkit.Block(t, kubernetesPage, "try", "sh"))
		scale := testkit.Block(t, kubernetesPage, "scale", "sh")
		last := c.set.Replicas - 1
		require.Contains(t, scale, fmt.Sprintf("kubectl logs -f inlet-%d >", last))
		require.Contains(t, scale, fmt.Sprintf("kubectl scale statefulset inlet --replicas %d\n", last))
		require.Contains(t, scale, fmt.Sprintf("--for=delete pod/inlet-%d --timeout=%dm\n", last, pod.GracePeriod/60+1))
		require.Contains(t, scale, fmt.Sprintf("kubectl delete pvc %s-inlet-%d\n", c.set.Claims[0].Metadata.Name, last))
		require.Contains(t, scale, "grep '"+drainedMessage+"'")
	})
	t.Run("the container runs", func(t *testing.T) { c.runContainer(t) })
	t.Run("a mistake is found", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{
			"apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {port: 80}",
			"apiVersion: v1\nkind: StatefulSet\nmetadata: {name: x}\nspec: {}",
			"apiVersion: v1\nkind: Service\nkind: Service\nmetadata: {name: x}\nspec: {}",
			"apiVersion: v1\nkind: Service\n  metadata: {name: x}",
		} {
			_, err := readCluster(text)
			require.Error(t, err, text)
		}
	})
}

func destinationOf(env map[string]string) (d server.Destination, err error) {
	name, url, ok := strings.Cut(env["INLET_TO"], "=")
	if !ok {
		return d, fmt.Errorf("no destination in %q", env["INLET_TO"])
	}
	return server.Destination{Name: name, URL: url}, nil
}

// runContainer runs the program with the arguments, variables and files of the container, asks what
// the probes ask, and stops it as the kubelet does.
func (c *cluster) runContainer(t *testing.T) {
	t.Parallel()
	root, env := t.TempDir(), c.environment()
	box, keys := c.container(), c.flag("keys")
	require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(keys)), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(root, "data"), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(root, "work"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, keys), []byte(c.secret[path.Base(keys)]), 0o440))
	destination, err := destinationOf(env)
	require.NoError(t, err)
	warehouse := inlettest.New(t, &inlettest.Options{Key: c.secret["warehouse-key"]})
	receiver := httptest.NewServer(warehouse)
	t.Cleanup(receiver.Close)

	env["INLET_TO"] = destination.Name + "=" + receiver.URL
	env["INLET_ADDR"] = "127.0.0.1:0"
	env["INLET_DIR"] = filepath.Join(root, env["INLET_DIR"])
	r := &replica{process: &process{}, log: newLogBuffer()}
	r.cmd = exec.Command(binary, slices.Clone(box.Args)...)
	r.cmd.Args[slices.Index(r.cmd.Args, keys)] = filepath.Join(root, keys)
	r.cmd.Env, r.cmd.Dir, r.cmd.Stderr = []string{}, filepath.Join(root, "work"), r.log
	for name, value := range env {
		r.cmd.Env = append(r.cmd.Env, name+"="+value)
	}
	r.stdout, err = r.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, r.cmd.Start())
	t.Cleanup(r.kill)
	r.read(t)

	for _, p := range []probe{box.StartupProbe, box.LivenessProbe, box.ReadinessProbe} {
		require.Equal(t, box.Ports[0].Name, p.HTTPGet.Port)
		response, err := http.Get(r.url + p.HTTPGet.Path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, p.HTTPGet.Path)
	}
	require.Equal(t, []string{"/live", "/live", "/ready"},
		[]string{box.StartupProbe.HTTPGet.Path, box.LivenessProbe.HTTPGet.Path, box.ReadinessProbe.HTTPGet.Path})
	for key, origin := range map[string]string{"replace-this-key-1": "https://shop.example", "replace-this-key-2": ""} {
		request, err := http.NewRequest(http.MethodPost, r.url+"/v1/track", strings.NewReader(event))
		require.NoError(t, err)
		request.SetBasicAuth(key, "")
		if origin != "" {
			request.Header.Set("Origin", origin)
		}
		status, answer := do(t, request)
		require.Equal(t, http.StatusOK, status, "%v", answer)
	}
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, r.wait(), "%s", r.log)
	require.Contains(t, r.log.String(), `"msg":"inlet: `+drainedMessage+`"`)
	require.NotContains(t, r.log.String(), `"level":"ERROR"`)
	require.NotContains(t, r.log.String(), `"level":"WARN"`)
	require.Len(t, warehouse.Events(), 2)
	require.Len(t, events(t, env["INLET_DIR"]), 2)
	left, err := os.ReadDir(r.cmd.Dir)
	require.NoError(t, err)
	require.Empty(t, left, "it writes to its volume only")
}
