# SPDX-License-Identifier: Apache-2.0
# An image of about 45 MB that holds the program, the bundled model, glibc and certificates, and no shell:
#
#   docker build -t gcvit .
#   docker run --rm -v "$PWD/examples/photos:/photos:ro" gcvit classify /photos
#
# and one that serves over HTTP, docs/deploying.md:
#
#   docker build -t gcvit-serve --target serve .
#   docker run --rm -p 127.0.0.1:8080:8080 gcvit-serve --allow-anonymous
FROM debian:12 AS build
WORKDIR /gcvit
COPY . .
RUN ./scripts/setup
RUN cmake --preset release && cmake --build --preset release && \
    cpack --config build/release/CPackConfig.cmake -G TGZ -B packages && \
    scripts/make_root packages/gcvit-*-linux-*.tar.gz /image

FROM scratch AS program
COPY --from=build --chown=0:0 /image /
COPY --from=build --chown=65532:65532 /image/home/gcvit /home/gcvit
USER 65532:65532
ENV HOME=/home/gcvit
WORKDIR /home/gcvit
ENTRYPOINT ["/usr/bin/gcvit"]

# Without --api-key-file or --allow-anonymous it says that one of them is needed.
FROM program AS serve
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/gcvit", "serve", "--probe", "http://127.0.0.1:8080"]
ENTRYPOINT ["/usr/bin/gcvit", "serve", "--host", "0.0.0.0"]

FROM program
