package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/envfile"
)

// spdx is a document of SPDX 2.3, as far as we fill it in.
type spdx struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      spdxCreation   `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Relationships []spdxRelation `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID        string         `json:"SPDXID"`
	Name      string         `json:"name"`
	Version   string         `json:"versionInfo,omitempty"`
	File      string         `json:"packageFileName,omitempty"`
	Download  string         `json:"downloadLocation"`
	Analyzed  bool           `json:"filesAnalyzed"`
	Sums      []spdxSum      `json:"checksums,omitempty"`
	Concluded string         `json:"licenseConcluded"`
	Declared  string         `json:"licenseDeclared"`
	Copyright string         `json:"copyrightText"`
	Refs      []spdxExternal `json:"externalRefs,omitempty"`
	Comment   string         `json:"comment,omitempty"`
}

type spdxSum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxExternal struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelation struct {
	From string `json:"spdxElementId"`
	Kind string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// billOfMaterials lists what a section of a lock pins, as SPDX JSON: of the lock alone, so equal locks have
// equal lists.
func billOfMaterials(lock *envfile.Lock, section string) ([]byte, error) {
	sec, digest := lock.Sections[section], lock.Digest(section)
	name := sec.Config.Name
	if name == "" {
		name = "environment"
	}
	d := spdx{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: name,
		Namespace: "https://spdx.org/spdxdocs/sandbox-" + strings.TrimPrefix(digest, "sha256:"),
		Creation:  spdxCreation{time.Unix(lock.Epoch, 0).UTC().Format(time.RFC3339), []string{"Tool: sandbox"}},
	}
	env := newPackage("environment", name, "", "")
	env.Comment = "lock " + digest
	d.Packages = append(d.Packages, env)
	d.Relationships = append(d.Relationships, spdxRelation{d.ID, "DESCRIBES", env.ID})
	for i, p := range sectionPackages(sec) {
		p.ID = fmt.Sprintf("%s-%d", p.ID, i+1) // two names may differ in nothing that an id may hold
		d.Packages = append(d.Packages, p)
		d.Relationships = append(d.Relationships, spdxRelation{env.ID, "CONTAINS", p.ID})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return b.Bytes(), err
}

func sectionPackages(sec *envfile.Section) []spdxPackage {
	var list []spdxPackage
	if sec.Image.Manifest != "" {
		p := newPackage("base", cmp.Or(baseName(sec), "base"), "", strings.TrimPrefix(sec.Image.Manifest, "sha256:"))
		p.Comment = "the image that the environment starts from; what is in it is not listed here"
		list = append(list, p)
	}
	for _, x := range sec.Debs {
		p := newPackage("deb-"+x.Name, x.Name, x.Version, x.SHA256)
		p.File = x.Path
		f := append(strings.Split(strings.ToLower(x.Archive), "/"), "", "")
		p.purl("pkg:deb/" + purlPart(f[0]) + "/" + purlPart(x.Name) + "@" + purlPart(x.Version) + "?arch=" + purlPart(x.Arch) + "&distro=" + purlPart(f[1]))
		if x.Layer == "pip" {
			p.Comment = "only the wheel of pip in it is installed"
		}
		list = append(list, p)
	}
	for _, x := range sec.Wheels {
		p := newPackage("python-"+x.Name, x.Name, x.Version, x.SHA256)
		p.File = x.File
		p.purl("pkg:pypi/" + purlPart(envfile.NormalName(x.Name)) + "@" + purlPart(x.Version))
		if x.From == "base" {
			p.Comment = "part of the base"
		}
		list = append(list, p)
	}
	for _, x := range sec.Interpreters {
		p := newPackage("interpreter-"+x.Name, x.Name, "", x.SHA256)
		p.File = x.File
		list = append(list, p)
	}
	return list
}

// What an SPDX id may hold.
var spdxID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func newPackage(id, name, version, sha256 string) spdxPackage {
	const unknown = "NOASSERTION"
	p := spdxPackage{ID: "SPDXRef-" + spdxID.ReplaceAllString(id, "-"), Name: name, Version: version,
		Download: unknown, Concluded: unknown, Declared: unknown, Copyright: unknown}
	if sha256 != "" {
		p.Sums = []spdxSum{{"SHA256", sha256}}
	}
	return p
}

func (p *spdxPackage) purl(s string) {
	p.Refs = []spdxExternal{{"PACKAGE-MANAGER", "purl", s}}
}

// purlPart escapes a part of a package URL; a colon may stay, a plus may not.
func purlPart(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%3A", ":") }
