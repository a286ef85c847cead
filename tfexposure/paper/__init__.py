"""The paper's GAN: generator, discriminator, and what they are trained on."""
