package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// reachAPIServer is the sixth step. It asks the API server for the caller's username and groups. Every authenticated
// user may ask for these.
func (d *diagnosis) reachAPIServer(ctx context.Context) (Status, string) {
	if d.Principal != "" || d.config == nil {
		return "", ""
	}
	client, err := newClient(d.config)
	if err != nil && d.config.AuthProvider != nil && d.config.AuthProvider.Name == "oidc" { // kubectl supports this auth provider
		return StatusUnknown, "doctor can't use the auth provider oidc"
	}
	if err != nil {
		return d.fail(Cause{ID: "kubeconfig-invalid", Step: stepKubeconfig, Summary: "the kubeconfig can't be used: " + err.Error(), User: d.updateKubeconfig()})
	}
	review := &authenticationv1.SelfSubjectReview{}
	err = client.create(ctx, "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
	switch {
	case apierrors.IsUnauthorized(err):
		d.refused = true
		if d.cluster.suspicion != nil {
			return d.fail(*d.cluster.suspicion)
		}
		if d.token == nil {
			return d.fail(Cause{
				ID: "credentials-refused", Step: stepAPIServer, User: d.updateKubeconfig(),
				Summary: "the API server refuses the credentials, which are not a token of EKS; a client certificate or a token may have expired",
			})
		}
		return StatusFailed, "the API server answers 401 Unauthorized"
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "system:anonymous"): // the cluster admits anonymous requests
		return d.fail(Cause{
			ID: "no-credentials", Step: stepAPIServer, User: d.updateKubeconfig(),
			Summary: "the API server sees you as system:anonymous",
		})
	case err != nil:
		return d.failUnreachable(err)
	}
	user := review.Status.UserInfo
	d.report.User = &User{Username: user.Username, Groups: append([]string{}, user.Groups...)}
	return StatusOK, fmt.Sprintf("the API server sees you as %s with the groups %s", user.Username, strings.Join(user.Groups, ", "))
}

// failUnreachable sets the cause after a request to which the API server did not answer. err is the error of the
// request.
func (d *diagnosis) failUnreachable(err error) (Status, string) {
	if d.cluster.suspicion != nil {
		return d.fail(*d.cluster.suspicion)
	}
	host := d.config.Host
	c := Cause{Step: stepAPIServer, User: d.updateKubeconfig()}
	_, unknownAuthority := errors.AsType[x509.UnknownAuthorityError](err)
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	_, dns := errors.AsType[*net.DNSError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch description := d.cluster.description; {
	case unknownAuthority, verification, hostname:
		c.ID, c.Summary = "tls", fmt.Sprintf("the certificate of %s is not signed by the CA of the kubeconfig, or is that of a proxy", host)
	case description != nil && !description.Public:
		c.ID = "private-endpoint"
		c.Summary = fmt.Sprintf("%s can't be reached, and the cluster's endpoint is private: it is reachable only from its VPC", host)
		c.User = d.queryCluster("resourcesVpcConfig")
		c.Admin = "aws eks update-cluster-config --name " + quote(d.ClusterName) + d.awsCluster().RegionFlag() + " --resources-vpc-config endpointPublicAccess=true,publicAccessCidrs=ADDRESS/32"
	case dns:
		c.ID, c.Summary = "dns", fmt.Sprintf("the name of %s can't be resolved; was the cluster deleted or created again, or is its endpoint private?", host)
	case isNet && timeout.Timeout():
		c.ID, c.Summary = "timeout", fmt.Sprintf("%s does not answer in time; is there a firewall, a VPN that is not connected, or a list of permitted addresses?", host)
		c.User = d.queryCluster("resourcesVpcConfig")
	default:
		c.ID, c.Summary = "unreachable", fmt.Sprintf("%s can't be reached: %s", host, redact(withoutURL(err).Error()))
	}
	return d.fail(c)
}
