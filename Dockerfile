# SPDX-License-Identifier: Apache-2.0
# An image of about 45 MB that holds the program, the bundled model, glibc and certificates, and no shell:
#
#   docker build -t gcvit .
#   docker run --rm -v "$PWD/examples/photos:/photos:ro" gcvit classify /photos
FROM debian:12 AS build
WORKDIR /gcvit
COPY . .
RUN ./scripts/setup
RUN cmake --preset release && cmake --build --preset release && \
    cpack --config build/release/CPackConfig.cmake -G TGZ -B packages && \
    scripts/make_root packages/gcvit-*-linux-*.tar.gz /image

FROM scratch
COPY --from=build --chown=0:0 /image /
COPY --from=build --chown=65532:65532 /image/home/gcvit /home/gcvit
USER 65532:65532
ENV HOME=/home/gcvit
WORKDIR /home/gcvit
ENTRYPOINT ["/usr/bin/gcvit"]
