package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestVersions: what Sluice and its rivals are both made with is the same, or else two
// libraries would be compared.
func TestVersions(t *testing.T) {
	shared := []string{
		"github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp", "github.com/golang-jwt/jwt/v5", "github.com/google/uuid",
		"github.com/jackc/pgx/v5", "github.com/redis/go-redis/v9", "github.com/klauspost/compress",
	}
	of := func(folder string) string {
		cmd := exec.Command("go", append([]string{"list", "-m"}, shared...)...)
		cmd.Dir = folder
		out, err := cmd.Output()
		must(t, err)
		return string(out)
	}
	ours, theirs := of("."), of("../../..")
	if ours != theirs || strings.Count(ours, "\n") != len(shared) {
		t.Errorf("the rivals have\n%s, Sluice has\n%s", ours, theirs)
	}
}
