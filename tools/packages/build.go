package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

const (
	repository  = "https://github.com/awsauth-guard/awsauth-guard"
	summary     = "Check and explain aws-auth, which decides who can log in to EKS"
	description = `Checks aws-auth manifests, the live aws-auth and EKS access entries, and explains
which IAM principals can log in to a cluster and as which user. It uses the rules
of the admission webhook awsauth-guard, which need not be installed.`
)

// platforms are the operating systems and architectures that the packages support, as Go names them.
var platforms = []struct{ OS, Arch string }{
	{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"},
}

// archive is the archive of kubectl-awsauth for one platform. URL is its address in the release.
type archive struct {
	OS, Arch, URL, SHA256 string
	// file is the path of the archive on this machine.
	file string
}

// manifest has the values for the templates of the krew manifest and the Homebrew formula.
type manifest struct {
	Tag, Version, Homepage, Summary string
	// Description is indented by four spaces, as a YAML block needs it.
	Description string
	Archives    map[string]archive // by operating system and architecture, such as linux-amd64
}

var (
	//go:embed templates/krew.yaml.tmpl
	krewTemplate string
	//go:embed templates/formula.rb.tmpl
	formulaTemplate string
)

// build makes the packages from the archives in a folder, and writes them into the same folder. It needs the archive for
// linux-amd64. A release has archives for all platforms. If another archive is missing, as in tests, the manifests leave out
// its platform.
func build(r release, folder string) error {
	m := manifest{
		Tag: r.tag, Version: r.version(), Homepage: repository, Summary: summary,
		Description: strings.ReplaceAll(description, "\n", "\n    "), Archives: map[string]archive{},
	}
	for _, p := range platforms {
		name := fmt.Sprintf("%s-%s-%s-%s.tar.gz", program, r.tag, p.OS, p.Arch)
		a := archive{OS: p.OS, Arch: p.Arch, URL: repository + "/releases/download/" + r.tag + "/" + name, file: filepath.Join(folder, name)}
		data, err := os.ReadFile(a.file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading an archive: %w", err)
		}
		sum := sha256.Sum256(data)
		a.SHA256 = hex.EncodeToString(sum[:])
		m.Archives[p.OS+"-"+p.Arch] = a
		if p.OS == "linux" {
			if err := packageLinux(r, a, folder); err != nil {
				return err
			}
		}
	}
	if _, ok := m.Archives["linux-amd64"]; !ok {
		return fmt.Errorf("%s has no archive of %s %s for linux/amd64", folder, program, r.tag)
	}
	for name, text := range map[string]string{"awsauth.yaml": krewTemplate, program + ".rb": formulaTemplate} {
		var out bytes.Buffer
		if err := template.Must(template.New(name).Parse(text)).Execute(&out, m); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), out.Bytes(), 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// system is an operating system as a Homebrew formula names it.
type system struct {
	Name     string
	Archives []cpu
}

// cpu is an archive, and its architecture as a Homebrew formula names it.
type cpu struct {
	archive
	CPU string
}

// Systems returns the archives by operating system. The template of the formula calls it.
func (m manifest) Systems() (list []system) {
	for _, s := range []struct{ os, name string }{{"darwin", "macos"}, {"linux", "linux"}} {
		var of []cpu
		for _, c := range []struct{ arch, name string }{{"amd64", "intel"}, {"arm64", "arm"}} {
			if a, ok := m.Archives[s.os+"-"+c.arch]; ok {
				of = append(of, cpu{a, c.name})
			}
		}
		if of != nil {
			list = append(list, system{s.name, of})
		}
	}
	return list
}
