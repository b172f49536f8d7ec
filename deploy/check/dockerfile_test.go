package main

import (
	"os"
	"path/filepath"
	"testing"
)

var imageTwins = []twin{
	{"parses", "HEALTHCHECK --interval=10s", "HEALTHCHECK --often"},
	{"parses", "WORKDIR /src", "WURKDIR /src"},
	{"bases are pinned", "golang:1.26.8-bookworm", "golang:latest"},
	{"bases are pinned", "golang:1.26.8-bookworm", "golang"},
	{"the image holds nothing but what is copied", "FROM scratch", "FROM debian:12.11"},
	{"the image holds nothing but what is copied", "USER 65532:65532", "RUN apt-get install curl\nUSER 65532:65532"},
	{"it does not run as root", "USER 65532:65532\n", ""},
	{"it does not run as root", "USER 65532:65532", "USER 0:0"},
	{"it does not run as root", "USER 65532:65532", "USER nobody"}, // Kubernetes cannot see that this is not root
	{"it says how to ask for its health", `"sluice", "health", "--live"`, `"curl", "http://127.0.0.1:8081/healthz"`},
	{"signals reach the program", `CMD ["sluice", "--help"]`, "CMD sluice --help"},
	{"programs are static and stamped", "CGO_ENABLED=0 ", ""},
	{"programs are static and stamped", "GOTOOLCHAIN=local", "GOTOOLCHAIN=auto"},
	{"programs are static and stamped", "-X sluice/internal/process.stamped=$VERSION", ""},
	{"no secret is built in", "ARG VERSION=development", "ARG VERSION=development\nARG GITHUB_TOKEN"},
	{"no secret is built in", "ENV PATH=/bin", "ENV PATH=/bin SLUICE_JWT_KEYS=k1:abc"},
	{"files come by COPY", "COPY LICENSE /", "ADD https://example.com/LICENSE /"},
}

func TestImageTwins(t *testing.T) {
	file := read(t, "Dockerfile")
	var rules []string
	for _, r := range imageRules {
		rules = append(rules, r.name)
	}
	every(t, append(rules, "parses"), imageTwins)
	before := imageFaults(root, file)
	for _, w := range imageTwins {
		t.Run(w.rule, func(t *testing.T) { w.catches(t, before, imageFaults(root, w.in(t, file))) })
	}
}

// A .dockerignore that lets secrets and the history in is caught.
func TestContextTwins(t *testing.T) {
	before := imageFaults(root, read(t, "Dockerfile"))
	for _, w := range []twin{
		{"the context is small", "*\n", ".git\n"},
		{"the context is small", "!LICENSE\n", "!LICENSE\n!.env\n"},
		{"the context is small", "**/*_test.go\n", ""},
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, ".dockerignore"), w.in(t, read(t, ".dockerignore")), 0o600); err != nil {
			t.Fatal(err)
		}
		w.catches(t, before, imageFaults(folder, read(t, "Dockerfile")))
	}
}
