package check

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axe-core, of Deque Systems, is under the MPL-2.0. It is fetched for these tests alone and
// no part of what we give away.
const (
	axePackage = "axe-core@4.14.1"
	axeSum     = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==" // SHA-512 of the package
	axeFile    = "package/axe.min.js"
)

var axe string

// readAxe reads axe-core from the cache, where npm puts it once.
func readAxe() error {
	cache, err := filepath.Abs(filepath.Join("..", "..", ".cache", "npm"))
	if err != nil {
		return err
	}
	file := filepath.Join(cache, strings.Replace(axePackage, "@", "-", 1)+".tgz")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(cache, 0o755); err != nil {
			return err
		}
		if out, err := exec.Command("npm", "pack", "--silent", "--pack-destination", cache, axePackage).CombinedOutput(); err != nil {
			return fmt.Errorf("npm pack %s: %w\n%s", axePackage, err, out)
		}
	}
	packed, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	axe, err = unpackAxe(packed)
	return err
}

// unpackAxe answers axe-core out of its package, if it is the one that we know.
func unpackAxe(packed []byte) (string, error) {
	if sum := sha512.Sum512(packed); base64.StdEncoding.EncodeToString(sum[:]) != axeSum {
		return "", fmt.Errorf("%s is not the one that we know", axePackage)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	for all := tar.NewReader(z); ; {
		head, err := all.Next()
		if err != nil {
			return "", fmt.Errorf("look for %s: %w", axeFile, err)
		}
		if head.Name == axeFile {
			text, err := io.ReadAll(all)
			return string(text), err
		}
	}
}

// screens are what people look at.
var screens = []struct {
	name          string
	width, height int64
	phone         bool
}{{"desk", 1280, 800, false}, {"phone", 390, 844, true}}

// check holds the page to what every page has to be, in light and dark, on a desk and on a
// phone, and takes its picture.
func (p *person) check(name string) {
	p.t.Helper()
	for _, screen := range screens {
		p.must(emulation.SetDeviceMetricsOverride(screen.width, screen.height, 1, screen.phone))
		for _, scheme := range []string{"light", "dark"} {
			p.must(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}))
			how := fmt.Sprintf("%s-%s-%s", name, screen.name, scheme)
			for _, wrong := range p.violations() {
				p.t.Errorf("%s: %s", how, wrong)
			}
			if *shots != "" {
				p.shoot(how)
			}
		}
	}
	p.desk()
}

// desk is the screen that a person sits at.
func (p *person) desk() {
	p.must(emulation.SetDeviceMetricsOverride(screens[0].width, screens[0].height, 1, false), emulation.SetEmulatedMedia())
}

// violations are what axe-core finds wrong with the page, by all its rules; and what of it
// makes it wider than the screen.
func (p *person) violations() []string {
	p.t.Helper()
	wide := ask[[]string](p, `document.documentElement.scrollWidth > document.documentElement.clientWidth ?
		['too-wide at ' + [...document.querySelectorAll('main *, header *, footer *')].filter(
			e => e.getBoundingClientRect().right > document.documentElement.clientWidth).map(e => e.outerHTML.slice(0, 100)).slice(0, 3)] : []`)
	if *withoutAxe {
		return wide
	}
	if !ask[bool](p, `!!window.axe`) {
		p.must(chromedp.Evaluate(axe+";0", nil))
	}
	return append(wide, ask[[]string](p, `axe.run(document, {preload: false, resultTypes: ['violations']}).then(r =>
		r.violations.flatMap(v => v.nodes.map(n => v.id + ' at ' + n.target.join(' ') + ': ' + n.failureSummary + '\n' + n.html)))`)...)
}

// shoot takes a picture of the whole page.
func (p *person) shoot(name string) {
	p.t.Helper()
	var picture []byte
	p.must(chromedp.FullScreenshot(&picture, 100))
	err := errors.Join(os.MkdirAll(*shots, 0o755), os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o644))
	if err != nil {
		p.t.Fatal(err)
	}
}
