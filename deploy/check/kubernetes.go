package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// adapterRules is the part of prometheus-adapter's configuration that we use.
type adapterRules struct {
	Rules         []adapterRule `json:"rules"`
	ExternalRules []adapterRule `json:"externalRules"`
}

type adapterRule struct {
	SeriesQuery string `json:"seriesQuery"`
	Resources   struct {
		Overrides map[string]struct {
			Resource string `json:"resource"`
		} `json:"overrides"`
	} `json:"resources"`
	Name struct {
		As string `json:"as"`
	} `json:"name"`
	MetricsQuery string `json:"metricsQuery"`
}

// cluster is every object under deploy/kubernetes, by its kind and name.
type cluster struct {
	root     string
	programs *programs

	namespaces  map[string]*core.Namespace
	configs     map[string]*core.ConfigMap
	secrets     map[string]*core.Secret
	services    map[string]*core.Service
	deployments map[string]*apps.Deployment
	jobs        map[string]*batch.Job
	budgets     map[string]*policy.PodDisruptionBudget
	scalers     map[string]*autoscaling.HorizontalPodAutoscaler
	policies    map[string]*networking.NetworkPolicy
	monitors    map[string]*monitoring.PodMonitor
	adapter     adapterRules
	meta        []object
}

// object is what every object has.
type object struct {
	v1.TypeMeta   `json:",inline"`
	v1.ObjectMeta `json:"metadata"`
}

func kubernetesFaults(ctx context.Context, root string, p *programs) ([]fault, error) {
	files := map[string][]byte{}
	for _, pattern := range []string{"*.yaml", "*.yaml.example", "monitoring/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, "deploy/kubernetes", pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			if filepath.Base(name) == "secret.yaml" {
				continue // somebody's own
			}
			if files[strings.TrimPrefix(name, root+"/")], err = os.ReadFile(name); err != nil {
				return nil, err
			}
		}
	}
	return kubernetesFaultsIn(ctx, root, files, p)
}

// kubernetesFaultsIn is kubernetesFaults for files that may be others than those in root.
func kubernetesFaultsIn(ctx context.Context, root string, files map[string][]byte, p *programs) (all []fault, _ error) {
	c := &cluster{root: root, programs: p,
		namespaces: map[string]*core.Namespace{}, configs: map[string]*core.ConfigMap{}, secrets: map[string]*core.Secret{},
		services: map[string]*core.Service{}, deployments: map[string]*apps.Deployment{}, jobs: map[string]*batch.Job{},
		budgets: map[string]*policy.PodDisruptionBudget{}, scalers: map[string]*autoscaling.HorizontalPodAutoscaler{},
		policies: map[string]*networking.NetworkPolicy{}, monitors: map[string]*monitoring.PodMonitor{},
	}
	for name, text := range files {
		if filepath.Base(name) == "adapter-rules.yaml" {
			if err := yaml.UnmarshalStrict(text, &c.adapter); err != nil {
				all = append(all, fault{"fits its type", name, err.Error()})
			}
			continue
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			if err := c.add(document); err != nil {
				all = append(all, fault{"fits its type", name, err.Error()})
			}
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	for _, r := range kubernetesRules {
		wrong, err := r.broken(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		slices.Sort(wrong)
		for _, what := range wrong {
			all = append(all, fault{r.name, "deploy/kubernetes", what})
		}
		if r.name == kubernetesRules[0].name && len(wrong) > 0 {
			break // the others stand on it
		}
	}
	return all, nil
}

// add reads one object into the type that its apiVersion and kind name. A field that the
// type does not have is an error, and so is one that stands there twice.
func (c *cluster) add(document []byte) error {
	var head object
	if err := yaml.Unmarshal(document, &head); err != nil {
		return err
	}
	c.meta = append(c.meta, head)
	switch head.APIVersion + " " + head.Kind {
	case "v1 Namespace":
		return into(c.namespaces, head, document)
	case "v1 ConfigMap":
		return into(c.configs, head, document)
	case "v1 Secret":
		return into(c.secrets, head, document)
	case "v1 Service":
		return into(c.services, head, document)
	case "apps/v1 Deployment":
		return into(c.deployments, head, document)
	case "batch/v1 Job":
		return into(c.jobs, head, document)
	case "policy/v1 PodDisruptionBudget":
		return into(c.budgets, head, document)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return into(c.scalers, head, document)
	case "networking.k8s.io/v1 NetworkPolicy":
		return into(c.policies, head, document)
	case "monitoring.coreos.com/v1 PodMonitor":
		return into(c.monitors, head, document)
	}
	return fmt.Errorf("there is no %s %s, or nobody has said how to check it", head.APIVersion, head.Kind)
}

func into[T any](all map[string]*T, head object, document []byte) error {
	if _, ok := all[head.Name]; ok || head.Name == "" {
		return fmt.Errorf("%s %q has no name, or is there twice", head.Kind, head.Name)
	}
	var o T
	if err := yaml.UnmarshalStrict(document, &o); err != nil {
		return fmt.Errorf("%s %s: %w", head.Kind, head.Name, err)
	}
	all[head.Name] = &o
	return nil
}

// kubernetesRule is one thing that must hold of all objects together.
type kubernetesRule struct {
	name   string
	broken func(context.Context, *cluster) ([]string, error)
}

var kubernetesRules = []kubernetesRule{
	{"every process is there", ofCluster(podsAreThere)},
	{"objects are in the namespace", ofCluster(namespaced)},
	{"pods are restricted", ofCluster(podsAreRestricted)},
	{"the images are one release", ofCluster(oneImage)},
	{"what is named is there", ofCluster(referencesExist)},
	{"settings are known and taken", podSettings},
	{"probes ask what is answered", ofCluster(probesFit)},
	{"grace is long enough", ofCluster(podGrace)},
	{"memory of Go stays below the limit", ofCluster(podMemory)},
	{"selectors select", ofCluster(selectorsSelect)},
	{"one may go at a time", ofCluster(budgetsFit)},
	{"it scales by metrics that are there", ofCluster(scalersFit)},
	{"examples hold no secret", ofCluster(noSecret)},
}

func ofCluster(rule func(*cluster) []string) func(context.Context, *cluster) ([]string, error) {
	return func(_ context.Context, c *cluster) ([]string, error) { return rule(c), nil }
}

// pods answers the pods that are made of the objects, by what makes them.
func (c *cluster) pods() map[string]core.PodTemplateSpec {
	all := map[string]core.PodTemplateSpec{}
	for name, d := range c.deployments {
		all[name] = d.Spec.Template
	}
	for name, j := range c.jobs {
		all[name] = j.Spec.Template
	}
	return all
}

func podsAreThere(c *cluster) (wrong []string) {
	for _, name := range []string{"api", "consumer", "scheduler"} {
		if c.deployments[name] == nil {
			wrong = append(wrong, "there is no Deployment "+name)
		}
	}
	if c.jobs["migrate"] == nil {
		wrong = append(wrong, "there is no Job migrate")
	}
	for name, pod := range c.pods() {
		if len(pod.Spec.Containers) != 1 || pod.Spec.Containers[0].Name != name || !c.programs.ours(pod.Spec.Containers[0].Command) {
			wrong = append(wrong, name+" is not one container of ours")
		}
	}
	return wrong
}

func namespaced(c *cluster) (wrong []string) {
	for _, o := range c.meta {
		if o.Kind != "Namespace" && (o.Namespace == "" || c.namespaces[o.Namespace] == nil) {
			wrong = append(wrong, fmt.Sprintf("%s %s is in no namespace of ours", o.Kind, o.Name))
		}
	}
	for _, n := range c.namespaces {
		if n.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			wrong = append(wrong, "the namespace lets pods do what they like")
		}
	}
	return wrong
}

func yes(b *bool) bool { return b != nil && *b }
func no(b *bool) bool  { return b != nil && !*b }

func podsAreRestricted(c *cluster) (wrong []string) {
	for name, pod := range c.pods() {
		must := func(ok bool, what string) {
			if !ok {
				wrong = append(wrong, name+": "+what)
			}
		}
		s := pod.Spec.SecurityContext
		must(s != nil && yes(s.RunAsNonRoot) && s.RunAsUser != nil && *s.RunAsUser > 0 && s.FSGroup != nil, "may be root, or has no group to read its secrets by")
		must(s != nil && s.SeccompProfile != nil && s.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault, "may make any system call")
		must(no(pod.Spec.AutomountServiceAccountToken), "is given a token of the cluster")
		for _, container := range pod.Spec.Containers {
			s := container.SecurityContext
			must(s != nil && yes(s.ReadOnlyRootFilesystem) && no(s.AllowPrivilegeEscalation) &&
				s.Capabilities != nil && slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}), "may change files, gain privileges or keep capabilities")
			must(!container.Resources.Limits.Memory().IsZero() && !container.Resources.Requests.Memory().IsZero() && !container.Resources.Requests.Cpu().IsZero(), "lacks requests or a limit of memory")
		}
		for _, v := range pod.Spec.Volumes {
			// More than 0440 is refused in production, and less cannot be read.
			must(v.Secret == nil || v.Secret.DefaultMode != nil && *v.Secret.DefaultMode == 0o440, "secrets are not mounted with mode 0440")
			must(v.HostPath == nil, "sees files of the host")
		}
	}
	return wrong
}

func oneImage(c *cluster) (wrong []string) {
	images := map[string]bool{}
	for name, pod := range c.pods() {
		for _, container := range pod.Spec.Containers {
			images[container.Image] = true
			if !release.MatchString(container.Image) {
				wrong = append(wrong, name+": "+container.Image+" names no release")
			}
		}
	}
	if len(images) != 1 {
		wrong = append(wrong, fmt.Sprintf("the processes are of %d images", len(images)))
	}
	return wrong
}

func referencesExist(c *cluster) (wrong []string) {
	for name, pod := range c.pods() {
		volumes := map[string]bool{}
		for _, v := range pod.Spec.Volumes {
			volumes[v.Name] = true
			if v.Secret != nil && c.secrets[v.Secret.SecretName] == nil {
				wrong = append(wrong, name+": there is no Secret "+v.Secret.SecretName)
			}
		}
		for _, container := range pod.Spec.Containers {
			for _, from := range container.EnvFrom {
				if from.ConfigMapRef == nil || c.configs[from.ConfigMapRef.Name] == nil {
					wrong = append(wrong, name+": takes its environment from nowhere")
				}
			}
			for _, m := range container.VolumeMounts {
				if !volumes[m.Name] || !m.ReadOnly {
					wrong = append(wrong, name+": mounts no volume, or one that it may change: "+m.Name)
				}
			}
		}
	}
	return wrong
}

// podSettings gives each program the environment of its container. Secrets, which are
// files there, are files here, with random bytes for @hex and @base64.
func podSettings(ctx context.Context, c *cluster) (wrong []string, _ error) {
	dir, err := os.MkdirTemp("", "sluice-secrets-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for name, pod := range c.pods() {
		mounted := map[string]string{} // path in the container: file here
		for _, v := range pod.Spec.Volumes {
			for _, m := range pod.Spec.Containers[0].VolumeMounts {
				if v.Name != m.Name || v.Secret == nil || c.secrets[v.Secret.SecretName] == nil {
					continue
				}
				for key, value := range c.secrets[v.Secret.SecretName].StringData {
					file := filepath.Join(dir, name+"-"+key)
					if err := os.WriteFile(file, []byte(invented(value)), 0o440); err != nil {
						return nil, err
					}
					mounted[m.MountPath+"/"+key] = file
				}
			}
		}
		env := c.environment(pod.Spec.Containers[0])
		for variable, value := range env {
			if !strings.HasSuffix(variable, "_FILE") {
				continue
			}
			if mounted[value] == "" {
				wrong = append(wrong, fmt.Sprintf("%s: %s names %s, which is not mounted", name, variable, value))
			}
			env[variable] = mounted[value]
		}
		refused, err := c.programs.refused(ctx, pod.Spec.Containers[0].Command, env)
		if err != nil {
			return nil, err
		}
		for _, what := range refused {
			wrong = append(wrong, name+": "+what)
		}
	}
	return wrong, nil
}

// environment is that of a container, as Kubernetes puts it together.
func (c *cluster) environment(container core.Container) map[string]string {
	env := map[string]string{}
	for _, from := range container.EnvFrom {
		if from.ConfigMapRef != nil && c.configs[from.ConfigMapRef.Name] != nil {
			for name, value := range c.configs[from.ConfigMapRef.Name].Data {
				env[name] = value
			}
		}
	}
	for _, e := range container.Env {
		env[e.Name] = e.Value
	}
	return env
}

// portOf answers the number of a port that a container names.
func portOf(container core.Container, name string) int32 {
	for _, p := range container.Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	return 0
}

// probesFit: the paths are those that internal/process/ops.go serves, at the port where it
// listens; and liveness never asks for the stores.
func probesFit(c *cluster) (wrong []string) {
	ops, err := os.ReadFile(filepath.Join(c.root, "internal/process/ops.go"))
	if err != nil {
		return []string{err.Error()}
	}
	for name, d := range c.deployments {
		container := d.Spec.Template.Spec.Containers[0]
		listens := c.environment(container)["SLUICE_OPS_LISTEN"]
		for what, p := range map[string]struct {
			probe *core.Probe
			path  string
		}{
			"readiness": {container.ReadinessProbe, "/readyz"},
			"liveness":  {container.LivenessProbe, "/healthz"},
			"startup":   {container.StartupProbe, "/healthz"},
		} {
			switch {
			case p.probe == nil || p.probe.HTTPGet == nil:
				wrong = append(wrong, name+": has no probe of "+what)
			case p.probe.HTTPGet.Path != p.path || !bytes.Contains(ops, []byte(`"GET `+p.path+`"`)):
				wrong = append(wrong, fmt.Sprintf("%s: %s asks for %s", name, what, p.probe.HTTPGet.Path))
			case listens != fmt.Sprintf(":%d", portOf(container, p.probe.HTTPGet.Port.StrVal)):
				wrong = append(wrong, fmt.Sprintf("%s: %s asks at port %s, the process listens on %s", name, what, p.probe.HTTPGet.Port.StrVal, listens))
			}
		}
	}
	return wrong
}

func podGrace(c *cluster) (wrong []string) {
	for name, d := range c.deployments {
		pod := d.Spec.Template.Spec
		grace, err := time.ParseDuration(c.environment(pod.Containers[0])["SLUICE_SHUTDOWN_GRACE"])
		before := time.Duration(0)
		if l := pod.Containers[0].Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Sleep != nil {
			before = time.Duration(l.PreStop.Sleep.Seconds) * time.Second
		} else if name == "api" {
			wrong = append(wrong, "api: closes its door before anybody knows; preStop is missing")
		}
		if err != nil || pod.TerminationGracePeriodSeconds == nil ||
			time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second < before+grace+2*time.Second {
			wrong = append(wrong, name+": terminationGracePeriodSeconds is not 2 s longer than preStop and SLUICE_SHUTDOWN_GRACE")
		}
	}
	return wrong
}

func podMemory(c *cluster) (wrong []string) {
	for name, d := range c.deployments {
		container := d.Spec.Template.Spec.Containers[0]
		mib, err := strconv.Atoi(strings.TrimSuffix(c.environment(container)["GOMEMLIMIT"], "MiB"))
		if err != nil || int64(mib)<<20 > container.Resources.Limits.Memory().Value()*9/10 {
			wrong = append(wrong, name+": GOMEMLIMIT is not at most nine tenths of the memory limit, in MiB")
		}
	}
	return wrong
}

func selectorsSelect(c *cluster) (wrong []string) {
	// selected says which deployments' pods a selector finds.
	selected := func(s *v1.LabelSelector) (names []string) {
		selector, err := v1.LabelSelectorAsSelector(s)
		if err != nil || s == nil {
			return nil
		}
		for name, d := range c.deployments {
			if selector.Matches(labelSet(d.Spec.Template.Labels)) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	is := func(what string, s *v1.LabelSelector, want ...string) {
		if got := selected(s); !slices.Equal(got, want) {
			wrong = append(wrong, fmt.Sprintf("%s finds the pods of %v, not of %v", what, got, want))
		}
	}
	for name, d := range c.deployments {
		is("Deployment "+name, d.Spec.Selector, name)
		for _, spread := range d.Spec.Template.Spec.TopologySpreadConstraints {
			is("the spread of "+name, spread.LabelSelector, name)
		}
	}
	for name, b := range c.budgets {
		is("PodDisruptionBudget "+name, b.Spec.Selector, name)
	}
	for _, p := range c.policies {
		is("NetworkPolicy "+p.Name, &p.Spec.PodSelector, "api", "consumer", "scheduler")
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				if port.Port == nil || portOf(c.deployments["api"].Spec.Template.Spec.Containers[0], port.Port.StrVal) == 0 {
					wrong = append(wrong, "NetworkPolicy "+p.Name+" opens a port that nobody has")
				}
			}
			if len(rule.From) == 0 {
				wrong = append(wrong, "NetworkPolicy "+p.Name+" lets everybody in")
			}
		}
	}
	for name, s := range c.services {
		if c.deployments[name] == nil {
			wrong = append(wrong, "Service "+name+" is of nobody")
			continue
		}
		is("Service "+name, &v1.LabelSelector{MatchLabels: s.Spec.Selector}, name)
		for _, p := range s.Spec.Ports {
			container := c.deployments[name].Spec.Template.Spec.Containers[0]
			listens := c.environment(container)["SLUICE_LISTEN"]
			if listens == "" {
				listens = ":8080" // the default
			}
			if listens != fmt.Sprintf(":%d", portOf(container, p.TargetPort.StrVal)) {
				wrong = append(wrong, "Service "+name+" leads to port "+p.TargetPort.StrVal+", where nobody listens")
			}
		}
	}
	for name, m := range c.monitors {
		is("PodMonitor "+name, &m.Spec.Selector, "api", "consumer", "scheduler")
		for _, e := range m.Spec.PodMetricsEndpoints {
			for deployment, d := range c.deployments {
				if e.Port == nil || c.environment(d.Spec.Template.Spec.Containers[0])["SLUICE_OPS_LISTEN"] != fmt.Sprintf(":%d", portOf(d.Spec.Template.Spec.Containers[0], *e.Port)) {
					wrong = append(wrong, "PodMonitor "+name+" does not find the operations port of "+deployment)
				}
			}
		}
	}
	return wrong
}

// labelSet are labels as a selector wants them.
type labelSet map[string]string

func (l labelSet) Has(label string) bool              { _, ok := l[label]; return ok }
func (l labelSet) Get(label string) string            { return l[label] }
func (l labelSet) Lookup(label string) (string, bool) { v, ok := l[label]; return v, ok }

func budgetsFit(c *cluster) (wrong []string) {
	for name, d := range c.deployments {
		least := int32(1)
		if d.Spec.Replicas != nil {
			least = *d.Spec.Replicas
		}
		if s := c.scalers[name]; s != nil && s.Spec.MinReplicas != nil {
			least = *s.Spec.MinReplicas
			if d.Spec.Replicas != nil {
				wrong = append(wrong, name+": says its replicas, which its scaler does")
			}
		}
		if b := c.budgets[name]; b == nil || b.Spec.MinAvailable == nil || b.Spec.MinAvailable.IntVal < 1 || b.Spec.MinAvailable.IntVal >= least {
			wrong = append(wrong, name+": none of its pods may go, or all may at once")
		}
		if u := d.Spec.Strategy.RollingUpdate; u == nil || u.MaxUnavailable == nil || u.MaxUnavailable.IntVal != 0 {
			wrong = append(wrong, name+": has one less while it is replaced")
		}
	}
	return wrong
}

var metricName = regexp.MustCompile(`\bsluice_[a-z_]+`)

// scalersFit: every metric of ours is made by a rule of the adapter, and that out of what
// the program exports.
func scalersFit(c *cluster) (wrong []string) {
	made := map[string]bool{}
	exported, err := os.ReadFile(filepath.Join(c.root, "docs/metrics.md"))
	if err != nil {
		return []string{err.Error()}
	}
	for _, r := range append(slices.Clone(c.adapter.Rules), c.adapter.ExternalRules...) {
		made[r.Name.As] = true
		for _, name := range metricName.FindAllString(r.SeriesQuery+" "+r.MetricsQuery, -1) {
			if !regexp.MustCompile(`\b` + name + `\b`).Match(exported) {
				wrong = append(wrong, "the adapter asks for "+name+", which nobody exports")
			}
		}
	}
	for name, s := range c.scalers {
		target := s.Spec.ScaleTargetRef
		if target.Kind != "Deployment" || target.APIVersion != "apps/v1" || c.deployments[target.Name] == nil || target.Name != name {
			wrong = append(wrong, "HorizontalPodAutoscaler "+name+" scales nobody")
		}
		if len(s.Spec.Metrics) == 0 {
			wrong = append(wrong, "HorizontalPodAutoscaler "+name+" scales by nothing")
		}
		for _, m := range s.Spec.Metrics {
			switch {
			case m.External != nil && !made[m.External.Metric.Name]:
				wrong = append(wrong, "no rule of the adapter makes "+m.External.Metric.Name)
			case m.Pods != nil && !made[m.Pods.Metric.Name]:
				wrong = append(wrong, "no rule of the adapter makes "+m.Pods.Metric.Name)
			}
		}
	}
	partitions, err := strconv.Atoi(c.environment(c.deployments["consumer"].Spec.Template.Spec.Containers[0])["SLUICE_PARTITIONS"])
	if s := c.scalers["consumer"]; s == nil || err != nil || int(s.Spec.MaxReplicas) > partitions {
		wrong = append(wrong, "there may be more consumers than partitions")
	}
	return wrong
}

func noSecret(c *cluster) (wrong []string) {
	for name, s := range c.secrets {
		for key, value := range s.StringData {
			if !strings.Contains(value, "@hex") && !strings.Contains(value, "@base64") {
				wrong = append(wrong, fmt.Sprintf("Secret %s: %s is no example", name, key))
			}
		}
		if len(s.Data) > 0 {
			wrong = append(wrong, "Secret "+name+" holds data")
		}
	}
	for name, m := range c.configs {
		for key, value := range m.Data {
			if secretName.MatchString(key) || strings.Contains(value, "://") {
				wrong = append(wrong, fmt.Sprintf("ConfigMap %s: %s belongs into a secret", name, key))
			}
		}
	}
	return wrong
}
