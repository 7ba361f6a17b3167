package repository_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestImagesHaveLabels: both images of the Dockerfile have the OCI labels that say where the image comes from. The workflow release
// passes their values to each build of an image.
func TestImagesHaveLabels(t *testing.T) {
	stages := regexp.MustCompile(`(?m)^FROM `).Split(read(t, "Dockerfile"), -1)
	images := map[string]string{"the last": stages[len(stages)-1]}
	for _, stage := range stages {
		if line, _, _ := strings.Cut(stage, "\n"); strings.HasSuffix(line, " AS cli") {
			images["cli"] = stage
		}
	}
	if len(images) != 2 {
		t.Fatal("the Dockerfile has no stage cli")
	}
	for name, stage := range images {
		for _, line := range []string{
			"ARG VERSION=\n", "ARG REVISION=\n", `org.opencontainers.image.title="`, `org.opencontainers.image.description="`,
			`org.opencontainers.image.source="https://github.com/awsauth-guard/awsauth-guard"`,
			`org.opencontainers.image.licenses="Apache-2.0"`, `org.opencontainers.image.version="${VERSION}"`,
			`org.opencontainers.image.revision="${REVISION}"`,
		} {
			if !strings.Contains(stage, line) {
				t.Errorf("the stage %s of the Dockerfile lacks %s", name, line)
			}
		}
	}
	builds := 0
	for id, j := range workflows(t)["release"].Jobs {
		for _, s := range j.Steps {
			for _, build := range regexp.MustCompile(`docker buildx build(?: .*\\\n)*.*`).FindAllString(s.Run, -1) {
				builds++
				for _, arg := range []string{`GO_IMAGE="$GO_IMAGE"`, `VERSION="$GITHUB_REF_NAME"`, `REVISION="$GITHUB_SHA"`} {
					if !strings.Contains(build, "--build-arg "+arg) {
						t.Errorf("release: the job %s builds an image without %s:\n%s", id, arg, build)
					}
				}
			}
		}
	}
	if builds != 4 {
		t.Errorf("release builds %d images, want two in each of two jobs", builds)
	}
}

// TestPullRequestsBuildBothImages: the workflow check builds both images of the Dockerfile, and runs a container of each.
func TestPullRequestsBuildBothImages(t *testing.T) {
	var script strings.Builder
	for _, s := range workflows(t)["check"].Jobs["packages"].Steps {
		script.WriteString(s.Run + "\n")
	}
	for _, command := range []string{"make image\n", "make image-cli IMAGE=kubectl-awsauth:dev\n"} {
		if !strings.Contains(script.String(), command) {
			t.Errorf("the job packages does not run %s", command)
		}
	}
	if n := strings.Count(script.String(), "docker run "); n != 2 {
		t.Errorf("the job packages runs %d containers, want one of each image", n)
	}
}

// TestSameFiles: tools/same-files.sh admits images with the files of the release, and refuses an image in which one of these files
// differs. The workflow release runs it after each build of the images.
func TestSameFiles(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{} // the files of the images, with their content
	for _, architecture := range []string{"amd64", "arm64"} {
		for _, program := range []string{"awsauth-guard-webhook", "kubectl-awsauth"} {
			content := program + " for " + architecture
			files["image/linux_"+architecture+"/"+program] = content
			if program == "kubectl-awsauth" {
				files["cli/linux_"+architecture+"/usr/bin/"+program] = content
			}
			write("unpacked/"+program, content)
			archive := exec.CommandContext(t.Context(), "tar", "-C", filepath.Join(folder, "unpacked"), "-czf", filepath.Join(folder, program+"-v1.0.0-linux-"+architecture+".tar.gz"), program)
			if out, err := archive.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		for _, image := range []string{"image", "cli"} {
			files[image+"/linux_"+architecture+"/etc/ssl/certs/ca-certificates.crt"] = "authorities"
		}
	}
	write("ca-certificates.crt", "authorities")
	for name, content := range files {
		write(name, content)
	}
	compare := func() (string, error) {
		var out bytes.Buffer
		script := exec.CommandContext(t.Context(), root+"/tools/same-files.sh", filepath.Join(folder, "image"), filepath.Join(folder, "cli"), folder)
		script.Stdout, script.Stderr = &out, &out
		err := script.Run()
		return out.String(), err
	}
	if out, err := compare(); err != nil {
		t.Fatalf("same-files.sh refuses equal files: %v\n%s", err, out)
	}
	for name, content := range files {
		write(name, "other")
		if out, err := compare(); err == nil || !strings.Contains(out, name) {
			t.Errorf("same-files.sh admits another %s, or doesn't name it: %v\n%s", name, err, out)
		}
		write(name, content)
	}
	for _, s := range slices.Concat(workflows(t)["release"].Jobs["test"].Steps, workflows(t)["release"].Jobs["build"].Steps) {
		if strings.Contains(s.Run, "docker buildx build") && !strings.Contains(s.Run, `tools/same-files.sh "$RUNNER_TEMP/image" "$RUNNER_TEMP/cli" dist/release`) {
			t.Errorf("release doesn't compare the images of this step:\n%s", s.Run)
		}
	}
}
